"""What every policy of choosing settings shares: the state it sees, and the ranking it gives.

All arrays are batched over P independent runs, so a thousand simulated selections are one pass.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from diglot.select.table import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

CLOSED = -1e12  # key of a setting that is not in the pool: behind every other


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known before the next fine-tune: P runs, K settings, F score columns.

    A policy gets NaN for every result not yet paid for, so it cannot look ahead.
    """

    scores_KF: Floats
    results_PK: Floats  # NaN where not fine-tuned; every run has the same number of results
    open_PK: Bools  # False where a setting is not in the run's pool

    @property
    def observed_PK(self) -> Bools:
        return ~np.isnan(self.results_PK)

    @property
    def observed_count(self) -> int:
        return int(self.observed_PK[0].sum())


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The order of the settings, best first by `key_PK`, and how sure the policy is of it."""

    key_PK: Floats
    mean_PK: Floats | None = None  # expected result in the results' unit
    low_PK: Floats | None = None  # 10th percentile
    high_PK: Floats | None = None  # 90th percentile
    best_PK: Floats | None = None  # probability to be the best of the pool
    top3_PK: Floats | None = None  # probability to be among the three best


class Policy(Protocol):
    """Which setting to fine-tune next, and how all of them rank."""

    def rank(self, state: State, rng: Generator) -> Ranking:
        """The ranking after the results in `state`."""
        ...

    def choose(self, state: State, ranking: Ranking, rng: Generator) -> Ints:
        """The next setting (P,) to fine-tune: open, and without a result."""
        ...


def first_free(key_PK: Floats, state: State) -> Ints:
    """The setting (P,) of the highest key among those open and without a result."""
    free_PK = state.open_PK & ~state.observed_PK
    return np.argmax(np.where(free_PK, key_PK, CLOSED), axis=1)


def ahead_of_rest(first_PK: Floats, rest_PK: Floats, observed_PK: Bools) -> Floats:
    """A key that puts every observed setting, by `first_PK`, ahead of the others, by `rest_PK`."""
    rank_first = np.argsort(np.argsort(np.where(observed_PK, first_PK, -np.inf), axis=1), axis=1)
    rank_rest = np.argsort(np.argsort(rest_PK, axis=1), axis=1)
    width = rest_PK.shape[1]
    return np.where(observed_PK, width + rank_first, rank_rest).astype(float)


def pool_standardised(state: State) -> Floats:
    """Scores (P, K, F) with mean 0 and deviation 1 over the open settings of each run."""
    open_PK1 = state.open_PK[:, :, None].astype(float)
    count_P11 = open_PK1.sum(axis=1, keepdims=True)
    centred = state.scores_KF - (state.scores_KF * open_PK1).sum(axis=1, keepdims=True) / count_P11
    variance = (centred**2 * open_PK1).sum(axis=1, keepdims=True) / count_P11
    return centred / np.sqrt(np.where(variance > 0, variance, 1.0))
