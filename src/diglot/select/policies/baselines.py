"""Policies that fit nothing: random order, the order of the A score, and A with results."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from diglot.select.policies.policy import (
    CLOSED,
    Ints,
    Ranking,
    State,
    ahead_of_rest,
    first_free,
)


@dataclass(frozen=True, kw_only=True)
class RandomOrder:
    """Fine-tunes settings at random; those with results rank by them, the others at random behind.

    With n results the best is among the top one in n/K of runs, as in the paper's Figure 5.
    """

    def rank(self, state: State, rng: Generator) -> Ranking:
        noise_PK = rng.random(state.results_PK.shape)
        key_PK = ahead_of_rest(state.results_PK, noise_PK, state.observed_PK)
        return Ranking(key_PK=np.where(state.open_PK, key_PK, CLOSED))

    def choose(self, state: State, ranking: Ranking, rng: Generator) -> Ints:
        return first_free(rng.random(state.results_PK.shape), state)


@dataclass(frozen=True, kw_only=True)
class ColumnOrder:
    """Ranks by one score column. `use_results`: settings fine-tuned so far rank by their results,
    ahead of the rest; without, no fine-tune changes the order (and none is needed)."""

    column: int = 0
    use_results: bool = False

    def rank(self, state: State, rng: Generator) -> Ranking:
        score_PK = np.broadcast_to(state.scores_KF[:, self.column], state.results_PK.shape)
        key_PK = score_PK
        if self.use_results:
            key_PK = ahead_of_rest(state.results_PK, score_PK, state.observed_PK)
        return Ranking(key_PK=np.where(state.open_PK, key_PK, CLOSED))

    def choose(self, state: State, ranking: Ranking, rng: Generator) -> Ints:
        score_PK = np.broadcast_to(state.scores_KF[:, self.column], state.results_PK.shape)
        return first_free(score_PK, state)
