"""The page of a comparison: rows of recipes on every measure, number of samples and seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diglot.report.axes import format_value
from diglot.report.interval_chart import draw_intervals, measure_axis
from diglot.report.render import render_page, write_page
from diglot.report.schema import MeasureByRun, Result, Score
from diglot.report.significance import find_best_run, find_differences
from diglot.report.size_chart import size_chart


@dataclass(frozen=True, kw_only=True)
class SizedMeasure:
    """One measure of all rows, at every number of samples that has a score by now."""

    measure: MeasureByRun  # without results
    scores: Mapping[str, Mapping[int, Score]]
    """Row -> samples -> mean over seeds; low and high = worst and best seed; n = seeds."""
    half_width: float | None  # of the 95% interval that held-out items leave a single run
    items: tuple[int, int] = (0, 0)  # held-out items of a single run: fewest, most


@dataclass(frozen=True, kw_only=True)
class RowCrossover:
    """With how many samples a row is as good as another at its largest size; see compare."""

    measure: str  # key
    row: str
    other: str
    samples: float | None
    ratio: float | None
    at_least: bool
    lowest: float | None  # ratio of any seed alone
    lowest_at_least: bool
    highest: float | None
    highest_at_least: bool
    seeds: int


@dataclass(frozen=True, kw_only=True)
class RowCost:
    """What one run of a row takes at one number of samples."""

    row: str
    samples: int
    documents: int
    train_seconds: float
    learned: Mapping[str, float]  # items of each loss term
    sft_seconds: float | None = None  # of a second stage


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that failed, and why."""

    row: str
    samples: int  # 0: of a row without a first stage, which stands at every size
    seed: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A whole comparison, finished or not."""

    title: str
    about: str
    created: str
    runs: int  # to be done in all
    done: int
    failed: tuple[Ended, ...]
    rows: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]  # label -> recipes, settings
    samples: tuple[int, ...]
    seeds: tuple[int, ...]
    baseline: str  # the row that crossovers are with
    measures: tuple[SizedMeasure, ...]
    crossovers: tuple[RowCrossover, ...]
    costs: tuple[RowCost, ...]
    settings: Mapping[str, str]
    environment: Mapping[str, str]


def spread_sizes(samples: int, sizes: Sequence[int]) -> Sequence[int]:
    """The sizes at which a run stands: one without a first stage, of 0 samples, at all of them."""
    return [samples] if samples else sizes


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write the page to `out`, whole or not at all. Raises ConfigError where it cannot be."""
    return write_page(render_comparison(comparison), out)


def render_comparison(comparison: Comparison) -> str:
    """The page as text."""
    rows, base = tuple(comparison.rows), comparison.baseline
    most = _most_samples(comparison)
    measures = [_view_measure(m, rows, most) for m in comparison.measures]
    return render_page(
        "comparison.html.j2",
        {
            "study": comparison,
            "rows": rows,
            "index": {row: index for index, row in enumerate(rows)},
            "most": most,
            "measures": measures,
            "differences": find_differences(
                [view["measure"] for view in measures], _order_by_baseline(rows, base)
            ),
            "failed": _find_failed(comparison),
            "untrained": [
                row for row, (_, given) in comparison.rows.items() if "pretrain" in given
            ],
            "fine_tuned": any(cost.sft_seconds is not None for cost in comparison.costs),
            "cost_lines": _list_costs(comparison),
            "costs": {(cost.row, cost.samples): cost for cost in comparison.costs},
            "met": {(m.measure, m.row): m for m in comparison.crossovers if m.other == base},
            "met_by": {(m.measure, m.other): m for m in comparison.crossovers if m.row == base},
            "hopeless": _find_hopeless_rows(comparison),
            "score_text": score_text,
            "spread_text": spread_text,
            "items_text": items_text,
            "near_chance": near_chance,
            "ratio_text": ratio_text,
            "samples_text": samples_text,
            "range_text": range_text,
        },
    )


def _list_costs(comparison: Comparison) -> list[RowCost]:
    """Row by row with rising sizes; a row without a first stage costs the same at each, so once."""
    order = list(comparison.rows)
    ordered = sorted(comparison.costs, key=lambda cost: (order.index(cost.row), cost.samples))
    listed = set[str]()
    lines = []
    for cost in ordered:
        if cost.documents or cost.row not in listed:
            lines.append(cost if cost.documents else replace(cost, samples=0))
        listed.add(cost.row)
    return lines


def _find_failed(comparison: Comparison) -> set[tuple[str, int]]:
    """(row, samples) with a run that failed."""
    return {
        (run.row, size)
        for run in comparison.failed
        for size in spread_sizes(run.samples, comparison.samples)
    }


def _most_samples(comparison: Comparison) -> int:
    """The largest number of samples at which every row has a score by now, or failed.

    Where there is none, the largest with any score; 0 without any.
    """
    ended = _find_failed(comparison)
    scored = {
        (row, size)
        for sized in comparison.measures
        for row, by_size in sized.scores.items()
        for size in by_size
    }
    sizes = {size for _, size in scored}
    whole = {n for n in sizes if all((row, n) in scored | ended for row in comparison.rows)}
    return max(whole or sizes, default=0)


def _view_measure(sized: SizedMeasure, rows: tuple[str, ...], most: int) -> dict[str, Any]:
    at_most = {row: by_size[most] for row, by_size in sized.scores.items() if most in by_size}
    results = {row: _widen_score(score, sized) for row, score in at_most.items()}
    measure = sized.measure.model_copy(update={"results": results})
    several = len({size for by_size in sized.scores.values() for size in by_size}) > 1
    axis, chance = measure_axis(measure), measure.chance
    return {
        "measure": measure,
        "sized": sized,
        "best": find_best_run(measure),
        "lines": size_chart(sized.scores, rows, chance=chance) if several else None,
        "intervals": draw_intervals(axis, at_most, rows, chance=chance),
    }


def _widen_score(score: Score, sized: SizedMeasure) -> Result:
    """From the lowest seed to the highest, and beyond them by what held-out items leave a run.

    One seed has no interval: how far seeds lie apart is not known.
    """
    low, high = score.low, score.high
    if low is not None and high is not None:
        width = sized.half_width or 0.0
        low, high = low - width, high + width
    return Result(value=score.value, low=low, high=high, n=sized.items[0], groups={})


def _order_by_baseline(rows: Sequence[str], baseline: str) -> list[str]:
    """The baseline, which the others are compared with, and then they."""
    return [baseline, *(row for row in rows if row != baseline)]


def near_chance(sized: SizedMeasure, score: Score | None) -> bool:
    """Whether a mean is no better than chance by more than held-out items leave a run."""
    chance = sized.measure.chance
    if chance is None or score is None or score.value is None:
        return False
    gain = score.value - chance
    gain = gain if sized.measure.higher_is_better is not False else -gain
    return gain <= (sized.half_width or 0.0)


def _find_hopeless_rows(comparison: Comparison) -> set[tuple[str, str]]:
    """(measure, row) whose score at its most samples is near chance: nothing to be as good as."""
    return {
        (sized.measure.key, row)
        for sized in comparison.measures
        for row, by_size in sized.scores.items()
        if by_size and near_chance(sized, by_size[max(by_size)])
    }


def score_text(value: float) -> str:
    """A score with two decimals, or three below 0.1, where shares of many candidates lie."""
    return f"{value:.3f}" if 0.005 <= value < 0.0995 else format_value(value)


def spread_text(score: Score, seeds: int) -> str:
    """The seeds of a mean: "0.28 to 0.36, 2 seeds", "1 of 2 seeds"."""
    ends = "" if score.low is None or score.high is None else _format_ends(score.low, score.high)
    some = f"{score.n} of {seeds}" if score.n < seeds else f"{seeds}"
    return ", ".join(part for part in (ends, f"{some} seed{'' if seeds == 1 else 's'}") if part)


def items_text(sized: SizedMeasure) -> str:
    """The held-out items of a run: "90", or "88 to 90" where some were left out of one."""
    low, high = sized.items
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _format_ends(low: float, high: float) -> str:
    return f"{score_text(low)} to {score_text(high)}"


def samples_text(crossover: RowCrossover) -> str:
    """ "128", "64 or fewer", "not within the sizes run"."""
    if crossover.samples is None:
        return "not within the sizes run"
    return f"{crossover.samples:,.0f}{' or fewer' if crossover.at_least else ''}"


def ratio_text(ratio: float | None, *, at_least: bool) -> str:
    """ "8×", "1.46×", "at least 16×", or a dash."""
    if ratio is None or not math.isfinite(ratio):
        return "–"
    text = f"{ratio:,.0f}" if abs(ratio - round(ratio)) < 1e-9 else format_value(ratio)
    return f"{'at least ' if at_least else ''}{text}×"


def range_text(crossover: RowCrossover, seeds: int) -> str:
    """The ratios of single seeds: "2× to 8×", "not in every seed; up to 8×".

    Nothing for a study of one seed, and where neither the mean nor any seed has a ratio.
    """
    none = crossover.samples is None and crossover.highest is None
    if seeds == 1 or crossover.seeds == 0 or none:
        return ""
    if crossover.seeds == 1:
        return f"1 of {seeds} seeds"
    if crossover.highest is None:
        return "in no seed alone"
    high = ratio_text(crossover.highest, at_least=crossover.highest_at_least)
    if crossover.lowest is None:
        return f"not in every seed; up to {high}"
    low = ratio_text(crossover.lowest, at_least=crossover.lowest_at_least)
    return f"{high} in every seed" if low == high else f"{low} to {high}"
