"""A trial in which the prior has seen neither the benchmark nor any of the settings."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from diglot.select.choose import Choice
from diglot.select.paper_data import PaperLaw
from diglot.select.policies.baselines import ColumnOrder
from diglot.select.policies.own_policy import OwnPolicy
from diglot.select.policies.policy import Policy
from diglot.select.prior import learn_prior
from diglot.select.recall import Hits, random_pools, simulate_policy, whole_pool


def new_settings_curves(
    law: PaperLaw, choices: Mapping[str, Choice], *, runs: int
) -> dict[str, Any]:
    """The hardest honest trial: benchmark AND settings are new to the prior. Each run splits the
    settings at random into 7 for the prior and 8 to choose among. Recall in per cent, k' = 2 .. 5.
    """
    found: dict[str, list[Hits]] = {"own_policy": [], "a_ranking": [], "a_greedy": []}
    for b, name in enumerate(law.benchmarks):
        pools_PK = random_pools(len(law.settings), 8, runs, np.random.default_rng([b, 8]))
        others_BK = np.delete(law.results_BK, b, axis=0)
        for p, pool_K in enumerate(pools_PK):
            prior = learn_prior(law.scores_K2[~pool_K], others_BK[:, ~pool_K], choices[name].prior)
            own = OwnPolicy(prior=prior, draws=0)
            rivals: dict[str, Policy] = {"own_policy": own, "a_ranking": ColumnOrder()}
            rivals["a_greedy"] = ColumnOrder(use_results=True)
            for rival, policy in rivals.items():
                truth_PK, open_PK = whole_pool(law.results_BK[b, pool_K], 1)
                rng = np.random.default_rng(p)
                hit = simulate_policy(
                    policy, law.scores_K2[pool_K], truth_PK, open_PK, budget=5, rng=rng
                )
                found[rival].append(hit)
    return {
        rival: {
            str(n): {
                "at3": 100 * float(np.mean([hit.at3_NP[n] for hit in hits])),
                "at1": 100 * float(np.mean([hit.at1_NP[n] for hit in hits])),
            }
            for n in range(2, 6)
        }
        for rival, hits in found.items()
    }
