"""Every figure of a page as an SVG and a PNG file, drawn by matplotlib for papers and slides."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diglot.report.embedding import entropy_values
from diglot.report.figure_file import write_figure
from diglot.report.palette import RUN_COLOURS
from diglot.report.schema import Curve, MeasureByRun, Report
from diglot.report.static_maps import draw_cosines, draw_words
from diglot.report.static_scenes import draw_attention, draw_masks, draw_steps, escape_dollars
from diglot.report.token_schema import Plane

KINDS = (".svg", ".png")
Named = tuple[str, Figure]


def write_static(report: Report, folder: Path) -> list[Path]:
    """Write every figure into `folder`, as NAME.svg and NAME.png. Raises ConfigError."""
    written = []
    for name, figure in _list_figures(report):
        for kind in KINDS:
            written.append(folder / f"{file_name(name)}{kind}")
            write_figure(written[-1], figure)
    return written


def file_name(text: str) -> str:
    """A title as a file's name: lower-case letters, digits and _, at most 80; never empty."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:80] or "figure"


def _list_figures(report: Report) -> Iterator[Named]:
    for measure in report.measures:
        if any(result.score.value is not None for result in measure.results.values()):
            yield f"measure {measure.key}", draw_measure(measure, report.runs)
    for number, curve in enumerate(report.curves, start=1):
        yield f"curve {number} {curve.title}", draw_curve(curve, report.runs)
    if entropy_values(report):
        yield "entropy", draw_entropy(report)
    if report.planes:
        yield "planes", draw_planes(report.planes, report.runs)
    for number, example in enumerate(report.examples, start=1):
        drawings: dict[str, Callable[..., Figure | None]] = {
            "cosines": draw_cosines,
            "words": draw_words,
            "masks": draw_masks,
            "pursuit": draw_steps,
            "attention": draw_attention,
        }
        for name, draw in drawings.items():
            figure = draw(example, report.runs)
            if figure is not None:
                yield f"example {number} {name}", figure


def run_colour(run: str, runs: tuple[str, ...]) -> str:
    """The colour that a run has on the page."""
    return RUN_COLOURS[runs.index(run) % len(RUN_COLOURS)]


def draw_measure(measure: MeasureByRun, runs: tuple[str, ...]) -> Figure:
    """A measure's values with their intervals, a run a line."""
    shown = [run for run in runs if run in measure.results]
    figure = Figure(figsize=(6, 0.9 + 0.4 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for row, run in enumerate(shown):
        score = measure.results[run].score
        if score.value is None:
            continue
        ends = (score.low or score.value, score.high or score.value)
        axes.plot(ends, (row, row), color=run_colour(run, runs), linewidth=2)
        axes.plot(score.value, row, "o", color=run_colour(run, runs))
    if measure.chance is not None:
        axes.axvline(measure.chance, color="black", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(shown)), [escape_dollars(run) for run in shown])
    axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel=escape_dollars(measure.unit))
    axes.set_title(escape_dollars(measure.title), fontsize=10, loc="left")
    return figure


def draw_curve(curve: Curve, runs: tuple[str, ...]) -> Figure:
    """Lines over one axis."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for run, points in curve.series.items():
        x, y = [p[0] for p in points], [float("nan") if p[1] is None else p[1] for p in points]
        axes.plot(x, y, color=run_colour(run, runs), label=escape_dollars(run))
    axes.set(xlabel=escape_dollars(curve.x_label), ylabel=escape_dollars(curve.y_label))
    axes.set_title(escape_dollars(curve.title), fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    return figure


def draw_entropy(report: Report) -> Figure:
    """Two bars a run (Patch-aligned, Table 1)."""
    values = entropy_values(report)
    figure = Figure(figsize=(6, 0.9 + 0.6 * len(values)), layout="constrained")
    axes = figure.subplots()
    for row, (run, pair) in enumerate(values.items()):
        for offset, alpha, value in zip((-0.2, 0.2), (0.4, 0.9), pair, strict=True):
            colour = run_colour(run, report.runs)
            axes.barh(row + offset, value or 0.0, height=0.36, color=colour, alpha=alpha)
    axes.set_yticks(range(len(values)), [escape_dollars(run) for run in values])
    axes.invert_yaxis()
    axes.set_xlabel("nats: before the projector (faint), after it")
    return figure


def draw_planes(planes: dict[str, Plane], runs: tuple[str, ...]) -> Figure:
    """A panel a run (SEA Fig. 2)."""
    figure = Figure(figsize=(3.2 * len(planes), 3.5), layout="constrained")
    row = figure.subplots(1, len(planes), squeeze=False)[0]
    for axes, (run, plane) in zip(row, planes.items(), strict=True):
        _draw_plane(axes, plane, run_colour(run, runs))
        axes.set_title(
            f"{escape_dollars(run)}\n{escape_dollars(plane.method)}", fontsize=8, loc="left"
        )
    return figure


def _draw_plane(axes: Axes, plane: Plane, colour: str) -> None:
    for points, shade in ((plane.words, "0.6"), (plane.visual, colour)):
        axes.scatter([x for x, _ in points], [y for _, y in points], s=6, color=shade)
    axes.set(xticks=(), yticks=(), aspect="equal")
