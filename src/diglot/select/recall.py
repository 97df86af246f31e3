"""Simulated selections: how often the best setting is among a policy's first three, or its first.

Recall@n after k' results: the setting with the highest true result of the pool lies in the first n
of the policy's ranking. "Law of Vision Representation in MLLMs", sections 4 and 5.5 and A.8.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from diglot.select.policies.policy import Bools, Floats, Ints, Policy, State


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Whether the best was found, after n = 0 .. budget results, in each of P runs."""

    at3_NP: Bools
    at1_NP: Bools


def simulate_policy(
    policy: Policy,
    scores_KF: Floats,
    truth_PK: Floats,
    open_PK: Bools,
    *,
    budget: int,
    rng: Generator,
) -> Hits:
    """Run `policy` from no result to `budget` results, in P runs at once.

    The policy sees a setting's true result only after it has chosen it.
    """
    best_P = np.argmax(np.where(open_PK, truth_PK, -np.inf), axis=1)
    results_PK = np.full(truth_PK.shape, np.nan)
    places = []
    for count in range(budget + 1):
        state = State(scores_KF=scores_KF, results_PK=results_PK.copy(), open_PK=open_PK)
        ranking = policy.rank(state, rng)
        places.append(place_of(best_P, ranking.key_PK))
        if count < budget:
            choice_P1 = policy.choose(state, ranking, rng)[:, None]
            revealed_P1 = np.take_along_axis(truth_PK, choice_P1, axis=1)
            np.put_along_axis(results_PK, choice_P1, revealed_P1, axis=1)
    places_NP = np.stack(places)
    return Hits(at3_NP=places_NP < 3, at1_NP=places_NP < 1)


def place_of(best_P: Ints, key_PK: Floats) -> Ints:
    """How many settings (P,) rank ahead of the best one."""
    key_P1 = np.take_along_axis(key_PK, best_P[:, None], axis=1)
    earlier_PK = (key_PK == key_P1) & (np.arange(key_PK.shape[1]) < best_P[:, None])
    return np.sum((key_PK > key_P1) | earlier_PK, axis=1)


def whole_pool(truth_K: Floats, runs: int) -> tuple[Floats, Bools]:
    """`runs` copies of one benchmark with every setting in the pool: truth and open, (P, K)."""
    return np.tile(truth_K, (runs, 1)), np.ones((runs, len(truth_K)), dtype=bool)


def random_pools(settings: int, size: int, runs: int, rng: Generator) -> Bools:
    """`runs` random pools (P, K) of `size` of the settings."""
    order_PK = np.argsort(rng.random((runs, settings)), axis=1)
    return np.argsort(order_PK, axis=1) < size
