"""At how many training samples one row meets another: the sample ratio of MMCS Fig. 4.

Row A meets row B at the number of samples where A's score first is as good as B's at B's largest
size. Between the sizes that were run a score is taken to change linearly with log(samples); outside
of them nothing is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

Scores = Mapping[int, float]  # number of samples -> score


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Where row A is as good as row B at its largest size."""

    samples: float | None  # of A; None: at no size that was run
    at_most: bool  # A was as good from its smallest size on, so that it may need even fewer
    ratio: float | None  # B's samples for each of A's; above 1, A needs fewer


NEVER = Meeting(samples=None, at_most=False, ratio=None)


def meet(scores: Scores, others: Scores, *, higher_is_better: bool) -> Meeting:
    """The meeting of the row with `scores` (A) and the one with `others` (B)."""
    if not scores or not others:
        return NEVER
    largest = max(others)
    sign = 1.0 if higher_is_better else -1.0
    told = [(size, sign * scores[size]) for size in sorted(scores)]
    samples = _first_at_least(told, sign * others[largest])
    if samples is None:
        return NEVER
    return Meeting(samples=samples, at_most=samples == told[0][0], ratio=largest / samples)


def _first_at_least(told: list[tuple[int, float]], target: float) -> float | None:
    """The smallest number of samples whose score, between sizes too, is at least `target`."""
    if told[0][1] >= target:
        return float(told[0][0])
    for (size, score), (next_size, next_score) in pairwise(told):
        if next_score >= target > score:
            share = (target - score) / (next_score - score)
            return size * (next_size / size) ** share
    return None


@dataclass(frozen=True, kw_only=True)
class Meetings:
    """The meeting of two rows' mean scores, and of each seed's alone."""

    mean: Meeting  # of the means over seeds
    by_seed: Mapping[int, Meeting]

    @property
    def spread(self) -> tuple[float | None, float | None]:
        """Lowest and highest ratio of any seed; None where a seed has none, which is below all."""
        ratios = [meeting.ratio for meeting in self.by_seed.values()]
        known = [ratio for ratio in ratios if ratio is not None]
        return (min(known) if len(known) == len(ratios) and known else None), max(
            known, default=None
        )


def meet_over_seeds(
    scores: Mapping[int, Scores], others: Mapping[int, Scores], *, higher_is_better: bool
) -> Meetings:
    """The meetings of two rows, each given as seed -> Scores.

    Seeds count one by one where B has its largest size in them: of an unfinished study a seed that
    is not so far has no say, but for the means.
    """
    largest = max((size for told in others.values() for size in told), default=0)
    seeds = [seed for seed in scores if largest in others.get(seed, {})]
    how = {"higher_is_better": higher_is_better}
    return Meetings(
        mean=meet(mean_scores(scores), mean_scores(others), **how),
        by_seed={seed: meet(scores[seed], others[seed], **how) for seed in seeds},
    )


def mean_scores(by_seed: Mapping[int, Scores]) -> dict[int, float]:
    """At every size, the mean over the seeds that have it."""
    told: dict[int, list[float]] = {}
    for scores in by_seed.values():
        for size, score in scores.items():
            told.setdefault(size, []).append(score)
    return {size: sum(values) / len(values) for size, values in sorted(told.items())}
