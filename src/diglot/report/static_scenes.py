"""The figures of one picture for files: masks, sub-tokens by step, attention by layer."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from diglot.core.types import SizeHW
from diglot.report.fields import Box
from diglot.report.palette import RUN_COLOURS
from diglot.report.scene_schema import Example, Scene
from diglot.report.token_maps import Scale, WordLabel
from diglot.report.token_schema import TokenDetails
from diglot.report.token_views import find_attention_scale, step_labels

SIDE_IN = 2.2
TITLE_IN = 0.25
SHOWN_LAYERS = 3  # the first, the middle and the last


def open_picture(uri: str) -> Image.Image:
    """The picture inside a data address."""
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def draw_masks(example: Example, runs: tuple[str, ...]) -> Figure | None:
    """A row a name: the true mask, then every run's predicted one (Patch-aligned Fig. 1 and 4)."""
    names = dict.fromkeys(m.name for d in example.details.values() for m in d.masks)
    if not names:
        return None
    figure, grid = make_grid(len(names), 1 + len(example.details))
    for row, name in zip(grid, names, strict=True):
        draw_truth(row[0], example.scene, name)
        for axes, (run, details) in zip(row[1:], example.details.items(), strict=True):
            show_grey(axes, example.scene)
            boxes = example.token_maps[run].boxes
            colour = RUN_COLOURS[runs.index(run) % len(RUN_COLOURS)]
            for mask in (m for m in details.masks if m.name == name):
                fill_cells(axes, [boxes[i] for i in mask.chosen], colour)
                axes.set_title(f"{escape_dollars(run)}, IoU {mask.iou:.2f}", fontsize=8)
    return figure


def draw_steps(example: Example, runs: tuple[str, ...]) -> Figure | None:
    """A row a step of matching pursuit, a column a run (Patch-aligned Fig. 5 and 6)."""
    steps = max((len(d.pursuit) for d in example.details.values()), default=0)
    if not steps:
        return None
    figure, grid = make_grid(steps, len(example.details), side_in=2 * SIDE_IN)
    for number, row in enumerate(grid):
        for axes, (run, details) in zip(row, example.details.items(), strict=True):
            show_grey(axes, example.scene, faint=True)
            axes.set_title(f"{escape_dollars(run)}, step {number + 1}", fontsize=8)
            if number < len(details.pursuit):
                _write_step(axes, example, run, details, number, 2 * SIDE_IN)
    return figure


def _write_step(
    axes: Axes, example: Example, run: str, details: TokenDetails, number: int, side_in: float
) -> None:
    labels = step_labels(details.pursuit[number], example.token_maps[run].boxes)
    write_labels(axes, labels, example.scene, side_in)


def write_labels(axes: Axes, labels: Sequence[WordLabel], scene: Scene, side_in: float) -> None:
    """Texts at their tokens, on a panel of so many inches."""
    points = 72 * side_in / max(scene.size_hw)  # of a pixel of the picture
    for label in labels:
        ink = "#9a3000" if label.named else "black"
        size = max(label.font_px * points, 0.5)
        axes.text(
            label.x,
            label.y,
            escape_dollars(label.text),
            size=size,
            color=ink,
            ha="center",
            va="center",
        )


def draw_attention(example: Example, runs: tuple[str, ...]) -> Figure | None:
    """A row a name: the picture, then every run at three layers (MMCS Fig. 6), one scale each."""
    details = {run: d for run, d in example.details.items() if d.attention}
    if not details:
        return None
    count = min(len(d.attention) for d in details.values())
    layers = {run: _shown_layers(len(d.attention[0].levels)) for run, d in details.items()}
    scales = _scale_layers(details, layers)
    figure, grid = make_grid(count, 1 + sum(map(len, layers.values())))
    for index, row in enumerate(grid):
        name = next(iter(details.values())).attention[index].name
        draw_truth(row[0], example.scene, name, grey=False)
        columns = iter(row[1:])
        for run, d in details.items():
            for layer in layers[run]:
                axes = next(columns)
                show_grey(axes, example.scene)
                values = d.attention[index].values(layer)
                fill_heat(axes, example.token_maps[run].boxes, values, scales[run, layer])
                outline_regions(axes, example.scene, name)
                axes.set_title(f"{escape_dollars(run)}, layer {layer + 1}", fontsize=8)
    return figure


def _scale_layers(
    details: Mapping[str, TokenDetails], layers: Mapping[str, list[int]]
) -> dict[tuple[str, int], Scale]:
    """By run and layer: the first layers of all runs share a scale, so do the middle and last."""
    scales = dict[tuple[str, int], Scale]()
    for column in zip_longest(*layers.values()):
        shown = [(run, n) for run, n in zip(layers, column, strict=True) if n is not None]
        maps = [(drawn, n) for run, n in shown for drawn in details[run].attention]
        scales |= dict.fromkeys(shown, find_attention_scale(maps) or (0.0, 0.0))
    return scales


def _shown_layers(layers: int) -> list[int]:
    return sorted({round(i * (layers - 1) / (SHOWN_LAYERS - 1)) for i in range(SHOWN_LAYERS)})


def make_grid(rows: int, columns: int, *, side_in: float = SIDE_IN) -> tuple[Figure, np.ndarray]:
    """A figure of panels without ticks, with room for a title over each."""
    height_in = (side_in + TITLE_IN) * rows
    figure = Figure(figsize=(side_in * columns, height_in))
    # drawn out by hand: matplotlib's own layouts take seconds for so many panels
    room = {"left": 0.01, "right": 0.99, "bottom": 0.01, "top": 1 - TITLE_IN / height_in}
    spaces = {**room, "wspace": 0.04, "hspace": 1.2 * TITLE_IN / side_in}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=spaces)
    for axes in grid.flat:
        axes.set(xticks=(), yticks=())
    return figure, grid


def show_picture(axes: Axes, size_hw: SizeHW, picture: Image.Image, **options: Any) -> None:
    """The picture in pixels of its original size."""
    height, width = size_hw
    axes.imshow(np.asarray(picture), extent=(0, width, height, 0), **options)
    axes.set(xlim=(0, width), ylim=(height, 0))


def show_grey(axes: Axes, scene: Scene, *, faint: bool = False) -> None:
    """The picture in grey, as the ground of what is drawn over it."""
    grey = open_picture(scene.image).convert("L")
    show_picture(
        axes, scene.size_hw, grey, cmap="gray", vmin=0, vmax=255, alpha=0.3 if faint else 1.0
    )


def draw_truth(axes: Axes, scene: Scene, name: str, *, grey: bool = True) -> None:
    """The picture with the objects of a name, their masks in white where `grey`."""
    picture = open_picture(scene.image)
    show_picture(axes, scene.size_hw, picture.convert("RGB"))
    if grey:
        for region in (r for r in scene.regions if r.label == name and r.mask):
            inside_HW = np.asarray(open_picture(region.mask or "").convert("L")) > 0
            white_HW4 = np.zeros((*inside_HW.shape, 4))
            white_HW4[inside_HW] = (1, 1, 1, 0.75)
            height, width = scene.size_hw
            axes.imshow(white_HW4, extent=(0, width, height, 0))
    outline_regions(axes, scene, name)
    axes.set_title(escape_dollars(name), fontsize=8)


def outline_regions(axes: Axes, scene: Scene, name: str) -> None:
    """The boxes of the objects of a name."""
    for region in (r for r in scene.regions if name in (r.label, r.phrase)):
        x0, y0, x1, y1 = region.box
        for colour, width in (("black", 2.5), ("white", 1.2)):
            box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour)
            box.set_linewidth(width)
            axes.add_patch(box)


def fill_cells(axes: Axes, boxes: Sequence[Box], colours: Any) -> None:
    """Cells in one colour, or each in its own."""
    corners = [((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in boxes]
    axes.add_collection(PolyCollection(corners, facecolors=colours, alpha=0.7, linewidths=0))


def fill_heat(axes: Axes, boxes: Sequence[Box], values: Sequence[float], scale: Scale) -> None:
    """Cells coloured by where their values lie between the scale's ends."""
    low, high = scale
    share_P = (np.array(values) - low) / max(high - low, 1e-12)
    fill_cells(axes, boxes, colormaps["inferno"](share_P))


def escape_dollars(text: str) -> str:
    """A text as it stands: matplotlib reads $ as mathematics, and hides one that begins with _."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
