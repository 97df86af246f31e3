"""The page of a comparison: rows of recipes on every measure, number of samples and seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diglot.report.axes import format_value
from diglot.report.render import render, write_page
from diglot.report.schema import Measure, Result, Score
from diglot.report.size_chart import size_chart
from diglot.report.verdicts import judge
from diglot.report.whiskers import measure_axis, whisker_chart


@dataclass(frozen=True, kw_only=True)
class SizedMeasure:
    """One measure of all rows, at every number of samples that has a score by now."""

    measure: Measure  # without results
    scores: Mapping[str, Mapping[int, Score]]
    """Row -> samples -> mean over seeds; low and high = worst and best seed; n = seeds."""
    half_width: float | None  # of the 95% interval that held-out items leave a single run


@dataclass(frozen=True, kw_only=True)
class RowMeeting:
    """With how many samples a row is as good as another at its largest size; see compare."""

    measure: str  # key
    row: str
    other: str
    samples: float | None
    ratio: float | None
    at_least: bool
    lowest: float | None  # ratio of any seed alone
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


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that failed, and why."""

    row: str
    samples: int
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
    baseline: str  # the row that meetings are with
    measures: tuple[SizedMeasure, ...]
    meetings: tuple[RowMeeting, ...]
    costs: tuple[RowCost, ...]
    settings: Mapping[str, str]
    environment: Mapping[str, str]


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write the page to `out`, whole or not at all. Raises ConfigError where it cannot be."""
    return write_page(render_comparison(comparison), out)


def render_comparison(comparison: Comparison) -> str:
    """The page as text."""
    rows, base = tuple(comparison.rows), comparison.baseline
    return render(
        "comparison.html.j2",
        {
            "told": comparison,
            "rows": rows,
            "index": {row: index for index, row in enumerate(rows)},
            "largest": _largest(comparison),
            "measures": [_view(m, rows, comparison) for m in comparison.measures],
            "costs": {(cost.row, cost.samples): cost for cost in comparison.costs},
            "met": {(m.measure, m.row): m for m in comparison.meetings if m.other == base},
            "met_by": {(m.measure, m.other): m for m in comparison.meetings if m.row == base},
            "ratio_text": ratio_text,
            "samples_text": samples_text,
            "range_text": range_text,
        },
    )


def _largest(comparison: Comparison) -> int:
    """The largest number of samples with any score by now; 0 without any."""
    sizes = (s for m in comparison.measures for told in m.scores.values() for s in told)
    return max(sizes, default=0)


def _view(sized: SizedMeasure, rows: tuple[str, ...], comparison: Comparison) -> dict[str, Any]:
    largest = _largest(comparison)
    at_largest = {r: s[largest] for r, s in sized.scores.items() if largest in s}
    results = {row: Result(score=score, groups={}) for row, score in at_largest.items()}
    measure = replace(sized.measure, results=results)
    several = len({size for told in sized.scores.values() for size in told}) > 1
    axis, chance = measure_axis(measure), measure.chance
    return {
        "measure": measure,
        "sized": sized,
        "verdicts": judge(measure),
        "lines": size_chart(sized.scores, rows, chance=chance) if several else None,
        "whiskers": whisker_chart(axis, at_largest, rows, chance=chance),
    }


def samples_text(meeting: RowMeeting) -> str:
    """ "128", "64 or fewer", "not within the sizes run"."""
    if meeting.samples is None:
        return "not within the sizes run"
    return f"{meeting.samples:,.0f}{' or fewer' if meeting.at_least else ''}"


def ratio_text(ratio: float | None, *, at_least: bool) -> str:
    """ "8.0×", "at least 16×", or a dash."""
    if ratio is None or not math.isfinite(ratio):
        return "–"
    return f"{'at least ' if at_least else ''}{format_value(ratio)}×"


def range_text(meeting: RowMeeting) -> str:
    """The ratios of single seeds: "2.0× to 8.0×", "not in every seed; up to 8.0×"."""
    if meeting.seeds < 2:
        return "one seed"
    if meeting.highest is None:
        return "not in any seed"
    high = ratio_text(meeting.highest, at_least=meeting.highest_at_least)
    if meeting.lowest is None:
        return f"not in every seed; up to {high}"
    return f"{ratio_text(meeting.lowest, at_least=False)} to {high}"
