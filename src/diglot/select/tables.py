"""What `diglot select` prints."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from diglot.select.law import LawFit
from diglot.select.paper_data import PaperLaw
from diglot.select.paper_range import Variant
from diglot.select.plan import SelectionPlan
from diglot.select.study import GroupFit, RecallCurve


def fits_table(law: PaperLaw, fits: Mapping[str, Mapping[str, GroupFit]]) -> Table:
    """Table 2: mean R2 per group, the paper's beside ours, and leave-one-out."""
    title = "R² in per cent, mean of the group's benchmarks (Table 2)"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in ("fit", "vision", "paper", "left out", "OCR", "paper", "left out"):
        table.add_column(head, justify="left" if head == "fit" else "right")
    for name, row in fits.items():
        cells = [name.replace("_", ", ")]
        for index, group in enumerate(("vision", "ocr")):
            fit = row[group]
            spread = f" ± {fit.spread:.1f}" if fit.spread else ""
            left_out = "" if fit.loo_r2 is None else f"{fit.loo_r2:.2f}"
            cells += [
                f"{fit.r2:.2f}{spread}",
                f"{law.published['fits'][name][index]:.2f}",
                left_out,
            ]
        table.add_row(*cells)
    return table


def recall_table(
    curves: Mapping[str, RecallCurve], budgets: Sequence[int], *, top: int, title: str
) -> Table:
    """Recall by policy and k', mean of the benchmarks ± deviation of that mean over the runs."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("policy", no_wrap=True)
    for n in budgets:
        table.add_column(f"k'={n}", justify="right")
    for name, curve in curves.items():
        recall_BN = curve.at3_BN if top == 3 else curve.at1_BN
        spread_N = curve.at3_spread_N if top == 3 else curve.at1_spread_N
        table.add_row(name, *[f"{recall_BN[:, n].mean():.1f}±{spread_N[n]:.0f}" for n in budgets])
    return table


def range_table(law: PaperLaw, found: Sequence[Variant], budget: int) -> Table:
    """The range of the paper's policy by each unstated choice; six benchmarks, Recall@3."""
    published = law.published["recall_at3"]["paper_policy_4"]
    table = Table(
        title=f"paper_policy, Recall@3 at k'={budget}, six benchmarks; the paper: {published}"
    )
    for head in ("unstated choice", "value", "lowest", "median", "highest"):
        table.add_column(head)
    six = law.without_outliers()
    keys = [*vars(found[0].choices), "count"]
    settings = [{**vars(v.choices), "count": v.count} for v in found]
    recalls = np.array([v.at3_B[six].mean() for v in found])
    for key in keys:
        for value in dict.fromkeys(setting[key] for setting in settings):
            some = recalls[[setting[key] == value for setting in settings]]
            cells = [f"{q:.1f}" for q in (some.min(), np.median(some), some.max())]
            table.add_row(key, value, *cells)
    return table


def new_settings_table(fresh: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """Recall where the prior knows neither the benchmark nor the settings."""
    table = Table(title="settings and benchmark new to the prior: 8 settings, Recall@3 / @1")
    table.add_column("policy")
    budgets = list(next(iter(fresh.values())))
    for n in budgets:
        table.add_column(f"k'={n}", justify="right")
    for name, row in fresh.items():
        table.add_row(name, *[f"{row[n]['at3']:.1f} / {row[n]['at1']:.1f}" for n in budgets])
    return table


def fit_table(fits: Mapping[str, LawFit], random: float, results: str) -> Table:
    """A law beside its baselines."""
    table = Table(title=f"R² of {results} in per cent")
    for head in ("fit", "settings", "parameters", "R²", "leave one out"):
        table.add_column(head, justify="left" if head == "fit" else "right")
    for name, fit in fits.items():
        table.add_row(
            name,
            str(fit.points),
            str(fit.parameters),
            _format_part(fit.r2),
            _format_part(fit.loo_r2),
        )
    table.add_row("random scores (expected)", "", "", _format_part(random), "")
    return table


def coefficient_table(fit: LawFit) -> Table:
    """Coefficients with intervals; every column brought to [0, 1] by its range."""
    table = Table(title="coefficients, each column scaled to [0, 1] (95% interval)")
    for head in ("term", "value", "low", "high"):
        table.add_column(head, justify="left" if head == "term" else "right")
    for row in fit.coefficients:
        bounds = ["-" if bound is None else f"{bound:.4g}" for bound in (row.low, row.high)]
        table.add_row(row.term, f"{row.value:.4g}", *bounds)
    return table


def plan_table(plan: SelectionPlan, results: str) -> Table:
    """All settings, best first, with what is known or expected of each."""
    ranking = plan.ranking
    table = Table(title=f"{results}: ranking")
    heads = ("#", "setting", "result", "expected", "10%", "90%", "best", "top 3", "")
    for head in heads:
        table.add_column(head, justify="left" if head in ("setting", "") else "right")
    scaled = np.sum(~np.isnan(plan.results_K)) >= 2  # below that the scale is unknown
    for place, k in enumerate(plan.order, start=1):
        spread = [ranking.mean_PK, ranking.low_PK, ranking.high_PK] if scaled else [None] * 3
        cells = ["-" if part is None else f"{part[0, k]:.4g}" for part in spread]
        chances = [ranking.best_PK, ranking.top3_PK]
        cells += ["-" if part is None else f"{part[0, k]:.0%}" for part in chances]
        result = plan.results_K[k]
        measured = "" if np.isnan(result) else f"{result:.4g}"
        mark = "<- next" if k == plan.next else ""
        table.add_row(str(place), plan.settings[k], measured, *cells, mark)
    return table


def _format_part(fraction: float | None) -> str:
    return "undefined" if fraction is None else f"{100 * fraction:.1f}"
