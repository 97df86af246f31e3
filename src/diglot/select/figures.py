"""The paper's Figures 2, 5 and 10 redrawn from our runs, and the plot of a fitted law."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diglot.select.law import LawFit
from diglot.select.paper_data import PaperLaw
from diglot.select.study import GroupFit, RecallCurve
from diglot.select.table import Floats

LINES = {  # policy -> colour (Okabe-Ito: distinct to colour-blind readers), dashes
    "own_policy": ("#0072B2", "-"),
    "paper_policy": ("#D55E00", "-"),
    "a_greedy": ("#009E73", "--"),
    "a_ranking": ("#009E73", ":"),
    "random": ("#777777", "--"),
}
GRID = 80


def figure_2(law: PaperLaw, fits: Mapping[str, Mapping[str, GroupFit]]) -> Figure:
    """Mean R2 on the vision benchmarks by score: the paper's, ours, and on points left out."""
    names = ("random", "a", "c", "ac")
    rows = [fits[f"{name}_quadratic"]["vision"] for name in names]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    published = [law.published["fits"][f"{name}_quadratic"][0] for name in names]
    _draw_bars(axes, places - 0.27, published, "paper", "#BBBBBB")
    _draw_bars(axes, places, [row.r2 for row in rows], "ours", "#0072B2")
    left_out = [(p, row.loo_r2) for p, row in zip(places, rows, strict=True) if row.loo_r2]
    _draw_bars(
        axes, [p + 0.27 for p, _ in left_out], [r for _, r in left_out], "leave one out", "#E69F00"
    )
    axes.set_xticks(places, ["random", "A", "C", "A and C"])
    axes.set_ylabel("R² on vision benchmarks (%)")
    axes.set_ylim(0, 108)
    axes.legend(frameon=False)
    return figure


def recall_figure(law: PaperLaw, curves: Mapping[str, RecallCurve], *, top: int) -> Figure:
    """Recall@`top` against the number of fine-tunes: Figure 5 (top = 3) or 10 (top = 1)."""
    panels: list[tuple[str, list[int]]] = [(name, [b]) for b, name in enumerate(law.benchmarks)]
    panels.append(("mean of eight", list(range(len(law.benchmarks)))))
    # Fixed margins: solving them for nine panels takes longer than all the rest.
    figure = Figure(figsize=(11, 9))
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.07, top=0.91, hspace=0.2, wspace=0.08)
    grid = figure.subplots(3, 3, sharex=True, sharey=True).ravel()
    for axes, (title, rows) in zip(grid, panels, strict=True):
        for name, (colour, dashes) in LINES.items():
            recall_BN = curves[name].at3_BN if top == 3 else curves[name].at1_BN
            recall_N = recall_BN[rows].mean(axis=0)
            count = np.arange(1, len(recall_N))
            wide = 3.6 if name == "own_policy" else 1.6  # drawn first: others may lie on it
            axes.plot(count, recall_N[1:], dashes, color=colour, label=name, linewidth=wide)
        axes.set_title(title, fontsize=10)
        axes.set_ylim(-3, 103)
        axes.set_xticks(range(1, len(law.settings) + 1, 2))
        axes.grid(alpha=0.25)
    figure.supxlabel("fine-tunes")
    figure.supylabel(f"Recall@{top} (%)")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=5, frameon=False)
    return figure


def law_figure(
    fit: LawFit, scores_KF: Floats, results_K: Floats, names: Sequence[str], unit: str
) -> Figure:
    """Scores against results with the fitted curve (one column) or surface (two); with more
    columns, predicted against measured results."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    if len(fit.columns) == 1:
        _draw_curve(axes, fit, scores_KF[:, 0], results_K, unit)
        points = np.column_stack([scores_KF[:, 0], results_K])
    elif len(fit.columns) == 2:
        _draw_surface(figure, axes, fit, scores_KF, results_K, unit)
        points = scores_KF
    else:
        points = np.column_stack([fit.predict(scores_KF), results_K])
        axes.scatter(*points.T, color="#0072B2")
        axes.axline((float(results_K[0]), float(results_K[0])), slope=1, color="#777777")
        axes.set_xlabel(f"{unit}, fitted")
        axes.set_ylabel(f"{unit}, measured")
    _name_points(axes, names, points)
    axes.set_title(_write_title(fit), fontsize=10)
    return figure


def _name_points(axes: Axes, names: Sequence[str], points_K2: Floats) -> None:
    """Names right of their points, but left of those at the right edge."""
    low, high = axes.get_xlim()
    for name, (x, y) in zip(names, points_K2, strict=True):
        right = x < low + 0.85 * (high - low)
        axes.annotate(
            name,
            (x, y),
            xytext=(5 if right else -5, 3),
            ha="left" if right else "right",
            textcoords="offset points",
            fontsize=7,
        )


def _draw_curve(axes: Axes, fit: LawFit, score_K: Floats, results_K: Floats, unit: str) -> None:
    line_G = np.linspace(score_K.min(), score_K.max(), GRID)
    axes.plot(line_G, fit.predict(line_G[:, None]), color="#D55E00")
    axes.scatter(score_K, results_K, color="#0072B2", zorder=3)
    axes.set_xlabel(fit.columns[0])
    axes.set_ylabel(unit)


def _draw_surface(
    figure: Figure, axes: Axes, fit: LawFit, scores_KF: Floats, results_K: Floats, unit: str
) -> None:
    low_F, high_F = scores_KF.min(axis=0), scores_KF.max(axis=0)
    edge_F = 0.06 * (high_F - low_F)
    first_G, second_G = np.linspace(low_F - edge_F, high_F + edge_F, GRID).T
    mesh_GGF = np.stack(np.meshgrid(first_G, second_G), axis=-1)
    surface_GG = fit.predict(mesh_GGF.reshape(-1, 2)).reshape(GRID, GRID)
    # Colours span the measured results: the surface runs far out of them where no setting is.
    limits = {"vmin": results_K.min(), "vmax": results_K.max(), "cmap": "cividis"}
    levels = np.linspace(results_K.min(), results_K.max(), 13)
    axes.contourf(first_G, second_G, surface_GG, levels=levels, extend="both", alpha=0.75, **limits)
    dots = axes.scatter(*scores_KF.T, c=results_K, edgecolors="white", s=60, zorder=3, **limits)
    figure.colorbar(dots, label=unit)
    axes.set_xlabel(fit.columns[0])
    axes.set_ylabel(fit.columns[1])


def _draw_bars(axes: Axes, places: Any, heights: Sequence[float], label: str, colour: str) -> None:
    bars = axes.bar(places, heights, width=0.26, label=label, color=colour)
    axes.bar_label(bars, fmt="%.1f", fontsize=8)


def _write_title(fit: LawFit) -> str:
    if fit.r2 is None:
        return "under-determined: no R²"
    left_out = "undefined" if fit.loo_r2 is None else f"{100 * fit.loo_r2:.1f}%"
    return f"R² {100 * fit.r2:.1f}%, leave-one-out {left_out}, {fit.points} settings"
