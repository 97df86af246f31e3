"""The range that the paper's unstated choices span: its policy in every combination of them."""

from dataclasses import dataclass
from itertools import product
from typing import Any, get_args, get_type_hints

import numpy as np

from diglot.core.progress import Progress, Report, ignore_progress
from diglot.select.paper_data import PaperLaw
from diglot.select.policies.paper_policy import PaperChoices, predict_results, sample_region
from diglot.select.policies.policy import Bools, Floats, State
from diglot.select.recall import place_of

# How a run counts at k': if the best is among the first three after k' results ("at"), or was so
# after any number of results up to k' ("by": the number of fine-tunes it took, Figure 5's caption).
COUNTS = ("at", "by")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One combination, and its Recall@3 in per cent per benchmark at `budget` results."""

    choices: PaperChoices
    count: str
    at3_B: Floats


def list_options() -> dict[str, tuple[Any, ...]]:
    """Every unstated choice and its values."""
    return {name: get_args(hint) for name, hint in get_type_hints(PaperChoices).items()}


def run_variants(
    law: PaperLaw,
    *,
    runs: int,
    budget: int,
    seed: int = 0,
    report: Report = ignore_progress,
) -> list[Variant]:
    """The paper's policy in every combination. The draws do not depend on the results, so all
    benchmarks and fits share them."""
    named = list_options()
    found = []
    ways = list(product(named["level"], named["draw"]))
    for done, (level, draw) in enumerate(ways, start=1):
        rng = np.random.default_rng(seed)
        states = _draw_states(law, PaperChoices(level=level, draw=draw), runs, budget, rng)
        for scale, solver, rank_by in product(named["scale"], named["solver"], named["rank_by"]):
            choices = PaperChoices(
                level=level, draw=draw, scale=scale, solver=solver, rank_by=rank_by
            )
            at3_NBP = np.stack([_best_is_first_three(law, state, choices, rng) for state in states])
            for count in COUNTS:
                at3_BP = at3_NBP[-1] if count == "at" else at3_NBP.any(axis=0)
                found.append(Variant(choices=choices, count=count, at3_B=100 * at3_BP.mean(axis=1)))
        report(Progress("ways to draw", done, len(ways)))
    return found


def _draw_states(
    law: PaperLaw, choices: PaperChoices, runs: int, budget: int, rng: np.random.Generator
) -> list[State]:
    """The states after 1 .. budget draws; their results are all zero."""
    results_PK = np.full((runs, len(law.settings)), np.nan)
    open_PK = np.ones(results_PK.shape, dtype=bool)
    states = []
    for _ in range(budget):
        state = State(scores_KF=law.scores_K2, results_PK=results_PK, open_PK=open_PK)
        choice_P1 = sample_region(state, choices, rng)[:, None]
        results_PK = results_PK.copy()
        np.put_along_axis(results_PK, choice_P1, 0.0, axis=1)
        states.append(State(scores_KF=law.scores_K2, results_PK=results_PK, open_PK=open_PK))
    return states


def _best_is_first_three(
    law: PaperLaw, state: State, choices: PaperChoices, rng: np.random.Generator
) -> Bools:
    """Whether (B, P) the best is among the first three of the ranking in `state`."""
    runs = len(state.results_PK)
    truth_BPK = np.repeat(law.results_BK[:, None], runs, axis=1)
    key_BPK = predict_results(state, truth_BPK, choices)
    spread_BP1 = 1 + np.ptp(key_BPK, axis=2, keepdims=True)
    key_BPK = key_BPK + 1e-9 * spread_BP1 * rng.random(key_BPK.shape)
    if choices.rank_by == "observed":
        key_BPK = np.where(state.observed_PK, truth_BPK, key_BPK)
    best_B = law.results_BK.argmax(axis=1)
    return np.stack(
        [place_of(np.full(runs, b), key) < 3 for b, key in zip(best_B, key_BPK, strict=True)]
    )
