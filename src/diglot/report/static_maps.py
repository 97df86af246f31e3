"""The figures of what visual tokens mean, for files: cosine with each name, nearest words."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diglot.report.fields import Box
from diglot.report.scene_schema import Example, NameMap
from diglot.report.scenes import view_scene
from diglot.report.static_scenes import (
    SIDE_IN,
    draw_truth,
    escape_dollars,
    fill_heat,
    make_grid,
    outline_regions,
    show_grey,
    write_labels,
)
from diglot.report.token_maps import Scale, find_scale, view_token_map


def draw_cosines(example: Example, runs: tuple[str, ...]) -> Figure | None:
    """A row a name: the picture, then each run's cosines, all of them on one scale."""
    names = dict.fromkeys(m.name for tokens in example.token_maps.values() for m in tokens.maps)
    if not names:
        return None
    figure, grid = make_grid(len(names), 1 + len(example.token_maps))
    scale = find_scale(example.token_maps.values())
    for row, name in zip(grid, names, strict=True):
        draw_truth(row[0], example.scene, name, grey=False)
        for axes, (run, tokens) in zip(row[1:], example.token_maps.items(), strict=True):
            show_grey(axes, example.scene)
            axes.set_title(escape_dollars(run), fontsize=8)
            for of_name in [m for m in tokens.maps if m.name == name][:1]:
                _fill_cosines(axes, tokens.boxes, of_name, scale)
            outline_regions(axes, example.scene, name)
    return figure


def _fill_cosines(
    axes: Axes, boxes: tuple[Box, ...], of_name: NameMap, scale: Scale | None
) -> None:
    known = [(b, v) for b, v in zip(boxes, of_name.values, strict=True) if v is not None]
    if not known or scale is None:
        return
    fill_heat(axes, [box for box, _ in known], [value for _, value in known], scale)


def draw_words(example: Example, runs: tuple[str, ...]) -> Figure | None:
    """A column a run: the nearest word of every token; in colour the names of the picture."""
    shown = {run: tokens for run, tokens in example.token_maps.items() if tokens.words}
    if not shown:
        return None
    figure, grid = make_grid(1, len(shown), side_in=2 * SIDE_IN)
    view = view_scene(example.scene)
    for axes, (run, tokens) in zip(grid[0], shown.items(), strict=True):
        show_grey(axes, example.scene, faint=True)
        axes.set_title(escape_dollars(run), fontsize=8)
        labels = view_token_map(tokens, view, runs.index(run)).words
        write_labels(axes, labels, example.scene, 2 * SIDE_IN)
    return figure
