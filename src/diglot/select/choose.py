"""Choosing our policy's hyper-parameters for a benchmark, on the other benchmarks alone.

Nested leave-one-benchmark-out: for a held-out benchmark h, each other benchmark b plays the new one
in turn, its prior learned from the rest without b and h, over random pools of the settings. What
recalls best on average is chosen for h, whose results are never read.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from diglot.core.progress import Progress, Report, ignore_progress
from diglot.select.paper_data import read_yaml
from diglot.select.policies.own_policy import OwnPolicy
from diglot.select.policies.policy import Floats
from diglot.select.prior import PriorConfig, learn_prior
from diglot.select.recall import random_pools, simulate_policy

NextBy = Literal["value", "best"]

NEW = "new"  # a benchmark that is not in the table
DEGREES = ((1, 2), (2,))
SMOOTHS = (0.0, 0.3)
NEXT_BYS: tuple[NextBy, ...] = ("value", "best")
BUDGETS = range(2, 9)
POOL = 12
POOLS = 100
DRAWS = 64


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Hyper-parameters of our policy."""

    prior: PriorConfig
    next_by: NextBy

    def as_dict(self) -> dict[str, Any]:
        """As in data/choices.yaml."""
        return {
            "degrees": list(self.prior.degrees),
            "smooth": self.prior.smooth,
            "next_by": self.next_by,
        }


def stored_choice(benchmark: str = NEW) -> Choice:
    """What was chosen for `benchmark` of the paper, or for one that is not in it."""
    raw = read_yaml("choices.yaml")[benchmark]
    prior = PriorConfig(degrees=tuple(raw["degrees"]), smooth=raw["smooth"])
    return Choice(prior=prior, next_by=raw["next_by"])


def list_candidates() -> list[Choice]:
    """Every combination that is tried."""
    return [
        Choice(prior=PriorConfig(degrees=degrees, smooth=smooth), next_by=next_by)
        for degrees, smooth, next_by in product(DEGREES, SMOOTHS, NEXT_BYS)
    ]


def choose_for(
    held_out: int | None,
    scores_KF: Floats,
    results_BK: Floats,
    *,
    seed: int = 0,
    pools: int = POOLS,
    report: Report = ignore_progress,
) -> Choice:
    """The best candidate for benchmark `held_out` (None: for one that is not in the table).

    Scores by the mean of Recall@3 and Recall@1 over k' = 2 .. 8. Progress counts candidates.
    """
    others = [b for b in range(len(results_BK)) if b != held_out]
    scores, tried = [], list_candidates()
    for done, choice in enumerate(tried, start=1):
        per_target = [
            _score_choice(
                choice,
                results_BK[b],
                _without_target(results_BK, others, b),
                scores_KF,
                seed,
                pools,
            )
            for b in others
        ]
        scores.append(np.mean(per_target))
        report(Progress("choosing", done, len(tried)))
    return tried[int(np.argmax(scores))]


def _without_target(results_BK: Floats, rows: list[int], target: int) -> Floats:
    return results_BK[[row for row in rows if row != target]]


def _score_choice(
    choice: Choice, truth_K: Floats, known_BK: Floats, scores_KF: Floats, seed: int, pools: int
) -> float:
    rng = np.random.default_rng(seed)
    open_PK = random_pools(len(scores_KF), min(POOL, len(scores_KF)), pools, rng)
    prior = learn_prior(scores_KF, known_BK, choice.prior, crossfit=True)
    draws = DRAWS if choice.next_by == "best" else 0
    policy = OwnPolicy(prior=prior, next_by=choice.next_by, draws=draws)
    truth_PK = np.tile(truth_K, (pools, 1))
    hits = simulate_policy(policy, scores_KF, truth_PK, open_PK, budget=BUDGETS[-1], rng=rng)
    kept = list(BUDGETS)
    return float((hits.at3_NP[kept].mean() + hits.at1_NP[kept].mean()) / 2)
