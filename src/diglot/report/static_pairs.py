"""The figures of correspondences as SVG and PNG files: a row a point, a column an encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from diglot.report.correspondence_page import (
    CorrespondencePage,
    Picture,
    Prediction,
    ShownPair,
    ShownPoint,
    read_correspondence_page,
)
from diglot.report.figure_file import write_figure
from diglot.report.static import KINDS, file_name
from diglot.report.static_scenes import fill_heat, make_grid, open_picture, show_picture
from diglot.report.token_maps import Scale


def write_pair_figures(data: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the figure of every pair as pair_N_ID.svg and .png. Raises ConfigError."""
    page, written = read_correspondence_page(data), []
    scales = page.find_scales()
    for number, pair in enumerate(page.pairs, start=1):
        figure = draw_pair(page, pair, scales)
        for kind in KINDS:
            written.append(folder / f"{file_name(f'pair {number} {pair.id}')}{kind}")
            write_figure(written[-1], figure)
    return written


def draw_pair(page: CorrespondencePage, pair: ShownPair, scales: Mapping[int, Scale]) -> Figure:
    """Source point, and under every encoder similarity (on its scale), place found and truth."""
    figure, grid = make_grid(len(pair.points), 1 + len(page.encoders))
    for row, point in zip(grid, pair.points, strict=True):
        _draw_source(row[0], pair.source, point)
        for axes, found in zip(row[1:], point.found, strict=True):
            _draw_found(axes, pair, point, found, scales[found.encoder])
            state = "right" if found.error < page.alpha else f"{found.error:.2f} away"
            name = page.encoders[found.encoder].replace("$", r"\$")
            axes.set_title(f"{name}, {state}", fontsize=7)
    return figure


def _draw_source(axes: Axes, picture: Picture, point: ShownPoint) -> None:
    show_picture(axes, picture.size_hw, open_picture(picture.image).convert("RGB"))
    axes.plot(*point.source, "o", color="white", markeredgecolor="black", markersize=6)
    axes.set_title("source", fontsize=8)


def _draw_found(
    axes: Axes, pair: ShownPair, point: ShownPoint, found: Prediction, scale: Scale
) -> None:
    grey = open_picture(pair.target.image).convert("L")
    show_picture(axes, pair.target.size_hw, grey, cmap="gray", vmin=0, vmax=255)
    fill_heat(axes, found.boxes, found.values, scale)
    axes.add_patch(Circle(point.true, pair.radius, fill=False, edgecolor="white", linewidth=1.5))
    axes.plot(*found.predicted, "x", color="white", markersize=7, markeredgewidth=1.8)
