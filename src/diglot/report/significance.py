"""What a row of the results table says: which run is best, and which is no better than chance."""

import math
from dataclasses import dataclass

from diglot.report.schema import MeasureByRun, Score


@dataclass(frozen=True, kw_only=True)
class Significance:
    """What to write beside one run's score."""

    best: bool  # strictly better than every other run
    overlaps: bool  # best, yet its interval meets another run's
    at_chance: bool  # the interval holds the chance level


def mark_significance(measure: MeasureByRun) -> dict[str, Significance]:
    """The marks of every run with a value, by run name.

    Overlap of two intervals is shown, not tested: runs measured on the same items may differ
    reliably although their intervals meet.
    """
    scores = {
        run: result.score
        for run, result in measure.results.items()
        if result.score.value is not None
    }
    higher = measure.higher_is_better
    best = None if higher is None else _find_best_run(scores, higher=higher)
    return {
        run: Significance(
            best=run == best,
            overlaps=run == best and _overlaps_another(run, scores),
            at_chance=_holds_chance(score, measure.chance),
        )
        for run, score in scores.items()
    }


def _find_best_run(scores: dict[str, Score], *, higher: bool) -> str | None:
    """The run that beats all others; None for a tie or a single run."""
    if len(scores) < 2:
        return None
    values = {run: score.value or 0.0 for run, score in scores.items()}
    best = max(values.values()) if higher else min(values.values())
    winners = [run for run, value in values.items() if value == best]
    return winners[0] if len(winners) == 1 else None


def _overlaps_another(run: str, scores: dict[str, Score]) -> bool:
    return any(
        _intervals_overlap(scores[run], other) for name, other in scores.items() if name != run
    )


def _intervals_overlap(one: Score, other: Score) -> bool:
    (low_1, high_1), (low_2, high_2) = _interval_ends(one), _interval_ends(other)
    return low_1 <= high_2 and low_2 <= high_1


def _interval_ends(score: Score) -> tuple[float, float]:
    """The ends of a score's interval; its value where it has none."""
    low, high = (score.value if end is None else end for end in (score.low, score.high))
    return low or 0.0, high or 0.0


def _holds_chance(score: Score, chance: float | None) -> bool:
    if chance is None or score.low is None or score.high is None or math.isinf(score.low):
        return False
    return score.low <= chance <= score.high
