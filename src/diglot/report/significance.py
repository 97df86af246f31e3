"""What scores say beside one another: which run is clearly better, and which no better than chance.

"Best", "better" and "worse" are said only where both scores have intervals that do not meet, over
enough items. Intervals that meet rule nothing out: runs that answer the same items may differ
reliably all the same, which is for a paired test to say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from diglot.report.schema import MeasureByRun, Score

FEWEST_ITEMS = 20  # of fewer an interval says too little


@dataclass(frozen=True, kw_only=True)
class Differences:
    """On which measures (by title) a run is clearly better or worse than the page's first."""

    run: str
    other: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    alike: int  # measures on which the two do not clearly differ

    @classmethod
    def of_signs(cls, run: str, other: str, signs: Mapping[str, int]) -> Self:
        """From title -> 1 (clearly better), -1 (clearly worse) or 0."""
        better = tuple(title for title, sign in signs.items() if sign == 1)
        worse = tuple(title for title, sign in signs.items() if sign == -1)
        alike = len(signs) - len(better) - len(worse)
        return cls(run=run, other=other, better=better, worse=worse, alike=alike)


def find_differences(measures: Sequence[MeasureByRun], runs: Sequence[str]) -> list[Differences]:
    """Every further run against the first, over the measures that both have."""
    return [_compare_intervals(measures, run, runs[0]) for run in runs[1:]]


def _compare_intervals(measures: Sequence[MeasureByRun], run: str, other: str) -> Differences:
    signs = {
        measure.title: compare_scores(results[run], results[other], higher=higher)
        for measure in measures
        if (higher := measure.higher_is_better) is not None
        and {run, other} <= (results := _known_results(measure)).keys()
    }
    return Differences.of_signs(run, other, signs)


def _known_results(measure: MeasureByRun) -> dict[str, Score]:
    return {r: result.score for r, result in measure.results.items() if result.value is not None}


def find_best_run(measure: MeasureByRun) -> str | None:
    """The run that is clearly better than every other; None where there is none."""
    scores, higher = _known_results(measure), measure.higher_is_better
    if higher is None or len(scores) < 2:
        return None
    return next((run for run in scores if _is_best(run, scores, higher=higher)), None)


def _is_best(run: str, scores: Mapping[str, Score], *, higher: bool) -> bool:
    others = (score for name, score in scores.items() if name != run)
    return all(compare_scores(scores[run], other, higher=higher) == 1 for other in others)


def compare_scores(one: Score, other: Score, *, higher: bool) -> int:
    """1: the first is clearly better; -1: worse; 0: no clear difference."""
    if None in (one.low, one.high, other.low, other.high) or min(one.n, other.n) < FEWEST_ITEMS:
        return 0
    above, below = one.low > other.high, one.high < other.low  # type: ignore[operator]
    return (above - below) * (1 if higher else -1)


def is_at_chance(score: Score, chance: float | None) -> bool:
    """Whether the interval holds the chance level."""
    if chance is None or score.low is None or score.high is None or math.isinf(score.low):
        return False
    return score.low <= chance <= score.high
