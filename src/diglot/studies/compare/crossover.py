"""At how many training samples one row is as good as another: the sample ratio of MMCS Fig. 4.

Row A crosses row B at the number of samples where A's score first is as good as B's at B's largest
size. Between the sizes that were run a score is interpolated linearly in log(samples); outside of
them there is no crossover.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

Scores = Mapping[int, float]  # number of samples -> score


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """Where row A is as good as row B at its largest size."""

    samples: float | None  # of A; None: at no size that was run
    at_most: bool  # A was as good from its smallest size on, so that it may need even fewer
    ratio: float | None  # B's samples for each of A's; above 1, A needs fewer


NEVER = Crossover(samples=None, at_most=False, ratio=None)


def find_crossover(scores: Scores, others: Scores, *, higher_is_better: bool) -> Crossover:
    """Where the row with `scores` (A) is as good as that with `others` (B) at its largest size."""
    if not scores or not others:
        return NEVER
    largest = max(others)
    sign = 1.0 if higher_is_better else -1.0
    curve = [(size, sign * scores[size]) for size in sorted(scores)]
    samples = _first_at_least(curve, sign * others[largest])
    if samples is None:
        return NEVER
    return Crossover(samples=samples, at_most=samples == curve[0][0], ratio=largest / samples)


def _first_at_least(curve: list[tuple[int, float]], target: float) -> float | None:
    """The smallest number of samples whose score, between sizes too, is at least `target`."""
    if curve[0][1] >= target:
        return float(curve[0][0])
    for (size, score), (next_size, next_score) in pairwise(curve):
        if next_score >= target > score:
            share = (target - score) / (next_score - score)
            return size * (next_size / size) ** share
    return None


@dataclass(frozen=True, kw_only=True)
class Crossovers:
    """The crossover of two rows' mean scores, and of each seed's alone."""

    mean: Crossover  # of the means over seeds
    by_seed: Mapping[int, Crossover]

    @property
    def spread(self) -> tuple[float | None, float | None]:
        """Lowest and highest ratio of any seed; None where a seed has none, which is below all."""
        ratios = [crossover.ratio for crossover in self.by_seed.values()]
        known = [ratio for ratio in ratios if ratio is not None]
        return (min(known) if len(known) == len(ratios) and known else None), max(
            known, default=None
        )


def find_crossovers(
    scores: Mapping[int, Scores], others: Mapping[int, Scores], *, higher_is_better: bool
) -> Crossovers:
    """The crossovers of two rows, each given as seed -> Scores.

    A seed has a crossover of its own where B was run at its largest size; in an unfinished study
    the other seeds enter the means alone.
    """
    largest = max((size for scores_of in others.values() for size in scores_of), default=0)
    seeds = [seed for seed in scores if largest in others.get(seed, {})]
    how = {"higher_is_better": higher_is_better}
    return Crossovers(
        mean=find_crossover(mean_scores(scores), mean_scores(others), **how),
        by_seed={seed: find_crossover(scores[seed], others[seed], **how) for seed in seeds},
    )


def mean_scores(by_seed: Mapping[int, Scores]) -> dict[int, float]:
    """At every size, the mean over the seeds that have it."""
    values_at: dict[int, list[float]] = {}
    for scores in by_seed.values():
        for size, score in scores.items():
            values_at.setdefault(size, []).append(score)
    return {size: sum(values) / len(values) for size, values in sorted(values_at.items())}
