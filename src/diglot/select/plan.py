"""Which setting to fine-tune next, how all of them rank, and when to stop.

Stop rule, ours: after one more fine-tune of any setting, whatever its result within what is
expected of it, the three best would stay the same three with probability above 1 - `stop_below`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.errors import ConfigError, DataError
from diglot.core.rng import check_seed
from diglot.select.choose import stored_choice
from diglot.select.paper_data import paper_law
from diglot.select.policies.baselines import ColumnOrder, RandomOrder
from diglot.select.policies.own_policy import OwnPolicy
from diglot.select.policies.paper_policy import PaperPolicy
from diglot.select.policies.policy import Floats, Policy, Ranking, State
from diglot.select.prior import Prior, PriorConfig, learn_prior, plain_prior, related_prior
from diglot.select.table import ScoreTable

POLICIES = ("own_policy", "related_policy", "paper_policy", "a_ranking", "a_greedy", "random")
DRAWS = 4000
STOP_DRAWS = 100
STOP_CANDIDATES = 12  # those most likely among the three best: the others cannot change them more
MATRIX_LIMIT = 4_000_000  # numbers in a batch of covariances


@dataclass(frozen=True, kw_only=True)
class SelectionPlan:
    """What to do next. `next` is None when there is nothing (more) to do, `reason` says why."""

    settings: tuple[str, ...]
    order: tuple[int, ...]  # rows of the table, best first
    ranking: Ranking  # one run: arrays (1, K)
    results_K: Floats
    next: int | None
    reason: str
    change: float | None  # probability that one more result changes the three best
    warnings: tuple[str, ...]


def make_plan(
    table: ScoreTable,
    *,
    results: str,
    columns: Sequence[str],
    budget: int,
    policy: str = "own_policy",
    known: Sequence[str] = (),
    stop_below: float = 0.05,
    seed: int = 0,
) -> SelectionPlan:
    """The plan for a benchmark whose results so far are column `results` of `table`.

    `budget` counts all fine-tunes, done ones included. `known` names columns with the same
    settings' results on other benchmarks. Raises ConfigError and DataError for settings or a
    table that cannot work.
    """
    _check_table(table, policy, budget, stop_below)
    budget = min(budget, len(table))
    check_seed(seed, where="--seed")
    scores_KF = table.complete(columns)
    ranges_F = np.ptp(scores_KF, axis=0)
    alike = [name for name, wide in zip(columns, ranges_F, strict=True) if wide == 0]
    if len(alike) == len(columns):
        raise DataError("the scores are the same for every setting: there is nothing to choose by")
    state = State(
        scores_KF=scores_KF,
        results_PK=table.column(results)[None],
        open_PK=np.ones((1, len(table)), dtype=bool),
    )
    known_BK = table.complete(known).T if known else None
    chosen, warnings = build_policy(policy, scores_KF, known_BK)
    rng = np.random.default_rng(seed)
    ranking = chosen.rank(state, rng)
    change = None
    if isinstance(chosen, OwnPolicy) and 2 <= state.observed_count < len(table):
        change = change_chance(chosen, state, ranking, rng)
    following, reason = _choose_next(chosen, state, ranking, budget, change, stop_below, rng)
    return SelectionPlan(
        settings=table.settings,
        order=tuple(int(k) for k in np.argsort(-ranking.key_PK[0], kind="stable")),
        ranking=ranking,
        results_K=state.results_PK[0],
        next=following,
        reason=reason,
        change=change,
        warnings=tuple(warnings) + tuple(_list_warnings(policy, state, alike)),
    )


def build_policy(name: str, scores_KF: Floats, known_BK: Floats | None) -> tuple[Policy, list[str]]:
    """Policy `name` for settings with these scores, and what to be warned of."""
    if name in ("own_policy", "related_policy"):
        prior, warnings = _choose_prior(name, scores_KF, known_BK)
        next_by = stored_choice().next_by
        return OwnPolicy(prior=prior, next_by=next_by, draws=DRAWS, detail=True), warnings
    plain: dict[str, Policy] = {
        "paper_policy": PaperPolicy(),
        "a_ranking": ColumnOrder(),
        "a_greedy": ColumnOrder(use_results=True),
        "random": RandomOrder(),
    }
    return plain[name], []


def _choose_prior(name: str, scores_KF: Floats, known_BK: Floats | None) -> tuple[Prior, list[str]]:
    config = stored_choice().prior
    if name == "related_policy":
        if known_BK is None:
            raise ConfigError(
                "related_policy needs the settings' results on other benchmarks",
                fix="Name their columns with --known, or use own_policy.",
            )
        return related_prior(scores_KF, known_BK, PriorConfig()), []
    if known_BK is not None:
        return learn_prior(scores_KF, known_BK, config), []
    if scores_KF.shape[1] == 2:
        law = paper_law()
        return learn_prior(law.scores_K2, law.results_BK, config), []
    return plain_prior(scores_KF.shape[1], config), [
        "no benchmark to learn the law's shape from (it is known for A and C alone): every column "
        "is taken to help alike; name columns of other benchmarks' results with --known"
    ]


def change_chance(
    policy: OwnPolicy, state: State, ranking: Ranking, rng: np.random.Generator
) -> float:
    """Largest probability, over the settings without a result, that its result changes the set of
    the three best."""
    assert ranking.top3_PK is not None
    free_K = ~state.observed_PK[0]
    likely_K = np.argsort(-np.where(free_K, ranking.top3_PK[0], -1.0))[:STOP_CANDIDATES]
    now = set(np.argsort(-ranking.key_PK[0], kind="stable")[:3].tolist())
    quick = OwnPolicy(prior=policy.prior, next_by="value", draws=0)
    drawn_DK = policy.believe(state).draw(STOP_DRAWS, rng)[0]
    chances = [
        _share_changed(quick, state, int(k), drawn_DK[:, k], now, rng)
        for k in likely_K
        if free_K[k]
    ]
    return max(chances)


def _share_changed(
    quick: OwnPolicy, state: State, k: int, drawn_D: Floats, now: set[int], rng: np.random.Generator
) -> float:
    """Share of the drawn results of setting `k` after which the three best are others."""
    size = max(1, MATRIX_LIMIT // state.results_PK.shape[1] ** 2)
    changed = 0
    for start in range(0, len(drawn_D), size):
        part_D = drawn_D[start : start + size]
        results_DK = np.repeat(state.results_PK, len(part_D), axis=0)
        results_DK[:, k] = part_D
        after = State(
            scores_KF=state.scores_KF,
            results_PK=results_DK,
            open_PK=np.repeat(state.open_PK, len(part_D), axis=0),
        )
        top_D3 = np.argsort(-quick.rank(after, rng).key_PK, axis=1, kind="stable")[:, :3]
        changed += sum(set(top.tolist()) != now for top in top_D3)
    return changed / len(drawn_D)


def _choose_next(
    policy: Policy,
    state: State,
    ranking: Ranking,
    budget: int,
    change: float | None,
    stop_below: float,
    rng: np.random.Generator,
) -> tuple[int | None, str]:
    done = state.observed_count
    if done == state.results_PK.shape[1]:
        return None, "every setting has its result"
    if done >= budget:
        return None, f"the budget of {budget} fine-tunes is spent"
    if change is not None and change < stop_below:
        return None, f"one more fine-tune would change the top 3 with probability {change:.0%}"
    if isinstance(policy, ColumnOrder) and not policy.use_results:
        return None, "this policy ranks by the score alone: no fine-tune changes it"
    return int(policy.choose(state, ranking, rng)[0]), f"fine-tune {done + 1} of {budget}"


def _list_warnings(policy: str, state: State, alike: Sequence[str]):
    done = state.observed_count
    for name in alike:
        yield f"column {name!r} is the same for every setting, so it cannot rank them"
    if policy == "paper_policy" and done < 6:
        yield f"6 parameters are fitted to {done} results: the ranking is one of many that fit"
    if policy in ("own_policy", "related_policy") and done < 2:
        yield "with fewer than two results the ranking is the prior's; no result is expected yet"


def _check_table(table: ScoreTable, policy: str, budget: int, stop_below: float) -> None:
    if policy not in POLICIES:
        raise ConfigError(
            f"no policy {policy!r}", expected="one of " + ", ".join(POLICIES), where="--policy"
        )
    if budget < 1:
        raise ConfigError("the budget is empty", expected="at least 1", got=budget)
    if not 0 <= stop_below <= 1:
        raise ConfigError("stop_below is a probability", expected="0 to 1", got=stop_below)
    if len(table) < 3:
        raise DataError("too few settings to choose among", expected="at least 3", got=len(table))
