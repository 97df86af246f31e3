"""Scores against numbers of training samples as a picture, after MMCS Fig. 4.

Lines are means over seeds, bands reach from the worst seed to the best; the page has the same.
"""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diglot.files import replace_file
from diglot.report.palette import RUN_COLOURS
from diglot.report.static_scenes import escape_dollars
from diglot.studies.compare.summary import at_every_size

COLUMNS = 3
MARKERS = "osD^vP"


def write_sizes_figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw results.json as a PNG, one panel a measure, whole or not at all.

    Nothing is drawn where there is but one size.
    """
    if len({line["samples"] for line in results["table"]} - {0}) < 2:
        return
    figure = sizes_figure(results)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def sizes_figure(results: Mapping[str, Any]) -> Figure:
    """The figure; a row without scores has no line."""
    measures, table = results["measures"], at_every_size(results)["table"]
    lines = ceil(len(measures) / COLUMNS)
    figure = Figure(figsize=(4.2 * COLUMNS, 3.4 * lines), layout="constrained")
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes, (key, head) in zip(panels, measures.items(), strict=False):
        _draw_panel(axes, head)
        for number, row in enumerate(results["rows"]):
            lines = [t for t in table if (t["row"], t["measure"]) == (row, key)]
            _draw_line(axes, number, row, sorted(lines, key=lambda line: line["samples"]))
    for axes in panels[len(measures) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    seeds = len(results["seeds"])
    title = f"mean over {seeds} seeds; bands: lowest to highest" if seeds > 1 else None
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, title=title)
    return figure


def _draw_panel(axes: Axes, head: Mapping[str, Any]) -> None:
    better = ", lower is better" if head["higher_is_better"] is False else ""
    axes.set_title(head["title"], fontsize=10)
    axes.set_ylabel(f"{head['unit']}{better}", fontsize=9)
    axes.set_xlabel("training samples", fontsize=9)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.grid(alpha=0.3)
    if head["chance"] is not None:
        axes.axhline(head["chance"], color="#777777", linestyle=":", linewidth=1)


def _draw_line(axes: Axes, number: int, row: str, lines: list[Mapping[str, Any]]) -> None:
    sizes = [line["samples"] for line in lines]
    colour, marker = RUN_COLOURS[number % len(RUN_COLOURS)], MARKERS[number % len(MARKERS)]
    axes.plot(
        sizes,
        [line["mean"] for line in lines],
        color=colour,
        marker=marker,
        label=escape_dollars(row),
    )
    low, high = ([line[end] for line in lines] for end in ("min", "max"))
    axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
