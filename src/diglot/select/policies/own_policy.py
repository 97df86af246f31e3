"""Our policy: a law learned from other benchmarks, placed and scaled by the results that come in.

Fine-tune next the setting with the highest expected result (or the highest probability to be the
best). The search itself is the exploration: a result below expectation lowers its neighbours, and
scores this few need no further incentive to explore (measured: EXPERIMENTS.md, "select").
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from diglot.select.policies.policy import CLOSED, Floats, Ints, Ranking, State, first_free
from diglot.select.posterior import Posterior, condition_prior
from diglot.select.prior import Prior

TIE = 1e-6  # keeps settings of equal probability in the order of their expected results


@dataclass(frozen=True, kw_only=True)
class OwnPolicy:
    """A Gaussian process on a learned mean, with the benchmark's place and scale unknown."""

    prior: Prior
    next_by: Literal["value", "best"] = "value"  # what the next fine-tune is chosen by
    rank_by: Literal["value", "best"] = "value"  # expected result, or probability to be the best
    draws: int = 256  # for the probabilities; 0 = none are computed
    detail: bool = False  # also percentiles and the chance of the top 3, for the printed plan

    def rank(self, state: State, rng: Generator) -> Ranking:
        belief = self.believe(state)
        value_PK = np.where(state.open_PK, belief.mean(), CLOSED)
        if self.draws == 0:
            return Ranking(key_PK=value_PK, mean_PK=belief.mean())
        draws_PDK = np.where(state.open_PK[:, None], belief.draw(self.draws, rng), CLOSED)
        best_PK = best_chance(draws_PDK)
        key_PK = value_PK if self.rank_by == "value" else by_chance(best_PK, value_PK)
        key_PK = np.where(state.open_PK, key_PK, CLOSED)
        ranking = Ranking(key_PK=key_PK, mean_PK=belief.mean(), best_PK=best_PK)
        if not self.detail:
            return ranking
        low_PK, high_PK = np.quantile(draws_PDK, [0.1, 0.9], axis=1)
        return replace(ranking, low_PK=low_PK, high_PK=high_PK, top3_PK=top3_chance(draws_PDK))

    def choose(self, state: State, ranking: Ranking, rng: Generator) -> Ints:
        assert ranking.mean_PK is not None
        if self.next_by == "value":
            return first_free(ranking.mean_PK, state)
        assert ranking.best_PK is not None, "next_by='best' needs draws"
        return first_free(by_chance(ranking.best_PK, ranking.mean_PK), state)

    def believe(self, state: State) -> Posterior:
        """The posterior after the results of `state`."""
        return condition_prior(state, self.prior.mean(state), self.prior.covariance(state))


def best_chance(draws_PDK: Floats) -> Floats:
    """Share (P, K) of the draws in which a setting is the best."""
    runs, draws, width = draws_PDK.shape
    first_PD = np.argmax(draws_PDK, axis=2) + width * np.arange(runs)[:, None]
    return np.bincount(first_PD.ravel(), minlength=runs * width).reshape(runs, width) / draws


def top3_chance(draws_PDK: Floats) -> Floats:
    """Share (P, K) of the draws in which a setting is among the three best."""
    third_PD1 = np.sort(draws_PDK, axis=2)[:, :, -3:].min(axis=2, keepdims=True)
    return np.mean(draws_PDK >= third_PD1, axis=1)


def by_chance(best_PK: Floats, value_PK: Floats) -> Floats:
    """A key by probability; equal ones by value."""
    order_PK = np.argsort(np.argsort(value_PK, axis=1), axis=1)
    return best_PK + TIE * order_PK / order_PK.shape[1]
