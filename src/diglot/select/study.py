"""The paper's experiments repeated: Table 2, and every policy's recall on its eight benchmarks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diglot.core.progress import Progress, Report, ignore_progress
from diglot.select.choose import Choice
from diglot.select.law import design_matrix, fit_law, polynomial_terms, random_r2
from diglot.select.paper_data import PaperLaw
from diglot.select.policies.baselines import ColumnOrder, RandomOrder
from diglot.select.policies.own_policy import OwnPolicy
from diglot.select.policies.paper_policy import PaperPolicy
from diglot.select.policies.policy import Floats, Policy
from diglot.select.prior import PriorConfig, learn_prior, related_prior
from diglot.select.recall import Hits, random_pools, simulate_policy, whole_pool

MAIN_POLICIES = ("paper_policy", "own_policy", "a_ranking", "random")  # those of results.json
DEGREES = {"linear": 1, "quadratic": 2}
COLUMNS = {"a": [0], "c": [1], "ac": [0, 1]}
RANDOM_FITS = 1000


@dataclass(frozen=True, kw_only=True)
class GroupFit:
    """R2 in per cent, averaged over the benchmarks of a group; spread over random seeds if any."""

    r2: float
    loo_r2: float | None
    spread: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RecallCurve:
    """Recall in per cent after n = 0 .. budget results."""

    at3_BN: Floats  # mean over the runs, per benchmark
    at1_BN: Floats
    at3_spread_N: Floats  # deviation over the runs of the benchmarks' mean
    at1_spread_N: Floats


def table_2(law: PaperLaw, *, seed: int = 0) -> dict[str, dict[str, GroupFit]]:
    """Every row of Table 2: name -> group -> fit."""
    rng = np.random.default_rng(seed)
    rows = {}
    for degree_name, degree in DEGREES.items():
        width = 1 if degree == 1 else 2  # the authors' code draws one random column, or two
        rows[f"random_{degree_name}"] = {
            group: _random_fit(len(law.settings), width, degree, law.rows(names), law, rng)
            for group, names in law.groups.items()
        }
        for score, columns in COLUMNS.items():
            rows[f"{score}_{degree_name}"] = {
                group: _group_fit(law, law.rows(names), columns, degree)
                for group, names in law.groups.items()
            }
    return rows


def _group_fit(law: PaperLaw, rows: list[int], columns: list[int], degree: int) -> GroupFit:
    scores_KF = law.scores_K2[:, columns]
    names = [("A", "C")[column] for column in columns]
    fits = [fit_law(names, scores_KF, law.results_BK[row], degree=degree) for row in rows]
    r2 = [100 * fit.r2 for fit in fits if fit.r2 is not None]
    loo_r2 = [100 * fit.loo_r2 for fit in fits if fit.loo_r2 is not None]
    return GroupFit(r2=float(np.mean(r2)), loo_r2=float(np.mean(loo_r2)))


def _random_fit(
    points: int, width: int, degree: int, rows: list[int], law: PaperLaw, rng: np.random.Generator
) -> GroupFit:
    """Fits on uniform random scores, drawn anew for each benchmark: the exact mean, and the spread
    over seeds of the group's average."""
    r2_RS = [random_r2s(law.results_BK[row], width, degree, rng) for row in rows]
    expected = random_r2(points, len(polynomial_terms([str(f) for f in range(width)], degree)))
    return GroupFit(
        r2=100 * expected, loo_r2=None, spread=float(100 * np.mean(r2_RS, axis=0).std())
    )


def random_r2s(results_K: Floats, width: int, degree: int, rng: np.random.Generator) -> Floats:
    """R2 (RANDOM_FITS,) of fits of `results_K` on that many draws of random scores."""
    design_SKQ = design_matrix(rng.random((RANDOM_FITS, len(results_K), width)), degree)
    # Without the intercept, centred: what is left spans Q - 1 dimensions.
    centred_SKQ = design_SKQ[:, :, 1:] - design_SKQ[:, :, 1:].mean(axis=1, keepdims=True)
    basis_SKQ = np.linalg.qr(centred_SKQ)[0]
    centred_K = results_K - results_K.mean()
    return np.sum((centred_K @ basis_SKQ) ** 2, axis=1) / (centred_K @ centred_K)


def policies_for(law: PaperLaw, benchmark: int, choice: Choice) -> dict[str, Policy]:
    """Every policy as it may be used on `benchmark`, whose results none of them holds."""
    others_BK = np.delete(law.results_BK, benchmark, axis=0)
    prior = learn_prior(law.scores_K2, others_BK, choice.prior, crossfit=True)
    draws = 256 if choice.next_by == "best" else 0
    related = related_prior(law.scores_K2, others_BK, PriorConfig())
    return {
        "paper_policy": PaperPolicy(),
        "own_policy": OwnPolicy(prior=prior, next_by=choice.next_by, draws=draws),
        "own_by_chance": OwnPolicy(prior=prior, next_by=choice.next_by, rank_by="best"),
        "a_ranking": ColumnOrder(),
        "a_greedy": ColumnOrder(use_results=True),
        "random": RandomOrder(),
        "related_policy": OwnPolicy(prior=related, draws=0),
    }


def recall_curves(
    law: PaperLaw,
    choices: Mapping[str, Choice],
    *,
    runs: int,
    budget: int,
    seed: int = 0,
    pool: int | None = None,
    only: tuple[str, ...] = (),
    report: Report = ignore_progress,
) -> dict[str, RecallCurve]:
    """Recall of every policy over the eight benchmarks, `runs` simulated selections each.

    With `pool`, each run selects among that many random settings instead of all. Progress
    counts benchmarks.
    """
    hits: dict[str, list[Hits]] = {}
    for b, name in enumerate(law.benchmarks):
        for index, (policy_name, policy) in enumerate(policies_for(law, b, choices[name]).items()):
            if only and policy_name not in only:
                continue
            rng = np.random.default_rng([seed, b, index])
            truth_PK, open_PK = whole_pool(law.results_BK[b], runs)
            if pool is not None:
                # The same pools for every policy and benchmark, so that they can be compared.
                pool_rng = np.random.default_rng([seed, pool])
                open_PK = random_pools(truth_PK.shape[1], pool, runs, pool_rng)
            found = simulate_policy(
                policy, law.scores_K2, truth_PK, open_PK, budget=budget, rng=rng
            )
            hits.setdefault(policy_name, []).append(found)
        report(Progress("simulating", b + 1, len(law.benchmarks)))
    return {name: _mean_curve(found) for name, found in hits.items()}


def _mean_curve(hits: list[Hits]) -> RecallCurve:
    at3_BNP = 100.0 * np.stack([hit.at3_NP for hit in hits])
    at1_BNP = 100.0 * np.stack([hit.at1_NP for hit in hits])
    return RecallCurve(
        at3_BN=at3_BNP.mean(axis=2),
        at1_BN=at1_BNP.mean(axis=2),
        at3_spread_N=at3_BNP.mean(axis=0).std(axis=1),
        at1_spread_N=at1_BNP.mean(axis=0).std(axis=1),
    )


def results_json(
    fits: Mapping[str, Mapping[str, GroupFit]], curves: Mapping[str, RecallCurve]
) -> dict[str, Any]:
    """Per cent: fits by name, recall by policy and k' (means of eight benchmarks)."""
    return {
        "fits": {
            name: {"vision_r2": row["vision"].r2, "ocr_r2": row["ocr"].r2}
            for name, row in fits.items()
            if name != "random_linear"
        },
        "recall": {
            name: {
                str(n): {
                    "at3": float(curve.at3_BN[:, n].mean()),
                    "at1": float(curve.at1_BN[:, n].mean()),
                }
                for n in range(1, curve.at3_BN.shape[1])
            }
            for name, curve in curves.items()
            if name in MAIN_POLICIES
        },
    }
