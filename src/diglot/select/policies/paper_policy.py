"""The AC policy of "Law of Vision Representation in MLLMs" (section 4, Algorithms 2 and 3).

Settings are drawn by region of the (A, C) plane, a quadratic is fitted to their results, and all
settings rank by the fit. With fewer than six results the fit is under-determined, and what comes
out depends on choices the paper does not state; each is an option of `PaperChoices`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from diglot.select.law import design_matrix
from diglot.select.policies.policy import (
    CLOSED,
    Bools,
    Floats,
    Ints,
    Ranking,
    State,
    first_free,
    pool_standardised,
)

DEEPEST = 20  # 4^20 regions: two settings that still share one have the same scores
TIE = 1e-9  # of the predictions' range: equal predictions fall in random order


@dataclass(frozen=True, kw_only=True)
class PaperChoices:
    """What the paper leaves open. Defaults follow its text first, then the authors' public code."""

    # One draw per level (the text), or a level until its regions are used up (Algorithm 2).
    level: Literal["per_draw", "exhausted"] = "per_draw"
    # A region first and a setting in it, or a setting among all those in remaining regions.
    draw: Literal["region", "setting"] = "region"
    # Scale of A and C in the fit; matters while the fit is under-determined.
    scale: Literal["minmax", "zscore", "none"] = "minmax"
    # Which of the many exact fits: smallest weights beside a free intercept, or with it.
    solver: Literal["centred", "plain"] = "centred"
    # Settings with results rank by the fit like the rest (Algorithm 3), or by their results.
    rank_by: Literal["predicted", "observed"] = "predicted"


@dataclass(frozen=True, kw_only=True)
class PaperPolicy:
    """Region sampling and a quadratic fit."""

    choices: PaperChoices = PaperChoices()

    def rank(self, state: State, rng: Generator) -> Ranking:
        predicted_PK = predict_results(state, state.results_PK[None], self.choices)[0]
        jitter_PK = (
            TIE * rng.random(predicted_PK.shape) * (1 + np.ptp(predicted_PK, axis=1))[:, None]
        )
        key_PK = predicted_PK + jitter_PK
        if self.choices.rank_by == "observed":
            key_PK = np.where(state.observed_PK, state.results_PK, key_PK)
        return Ranking(key_PK=np.where(state.open_PK, key_PK, CLOSED), mean_PK=predicted_PK)

    def choose(self, state: State, ranking: Ranking, rng: Generator) -> Ints:
        return sample_region(state, self.choices, rng)


def sample_region(state: State, choices: PaperChoices, rng: Generator) -> Ints:
    """The next setting (P,): a region of the plane without a sample, at random, and one in it."""
    unit_PKF = _unit_range(state)
    level_P = np.full(len(unit_PKF), state.observed_count + 1)
    if choices.level == "exhausted":
        level_P = np.ones_like(level_P)
    weight_PK = _draw_weights(state, unit_PKF, level_P, choices)
    # Every region of this level may hold a sample already: go one level deeper.
    while np.any(weight_PK.sum(axis=1) == 0) and level_P.max() < DEEPEST:
        level_P = level_P + (weight_PK.sum(axis=1) == 0)
        weight_PK = _draw_weights(state, unit_PKF, level_P, choices)
    lost_P = weight_PK.sum(axis=1) == 0
    weight_PK[lost_P] = (state.open_PK & ~state.observed_PK)[lost_P]
    gumbel_PK = rng.gumbel(size=weight_PK.shape)
    return first_free(np.log(np.maximum(weight_PK, 1e-30)) + gumbel_PK, state)


def _draw_weights(state: State, unit_PKF: Floats, level_P: Ints, choices: PaperChoices) -> Floats:
    """Chance (P, K), unnormalised, of each setting to be drawn at the runs' levels."""
    sides_P11 = 2.0 ** level_P[:, None, None]
    cell_PKF = np.minimum(np.floor(unit_PKF * sides_P11), sides_P11 - 1)
    same_PKK = np.all(cell_PKF[:, :, None] == cell_PKF[:, None, :], axis=-1)
    sampled_PK = np.any(same_PKK & state.observed_PK[:, None, :], axis=2)
    free_PK = state.open_PK & ~sampled_PK
    if choices.draw == "setting":
        return free_PK.astype(float)
    crowd_PK = np.sum(same_PKK & state.open_PK[:, None, :], axis=2)
    return free_PK / np.maximum(crowd_PK, 1)


def predict_results(state: State, results_BPK: Floats, choices: PaperChoices) -> Floats:
    """The quadratic fitted to each run's results, at every setting: (B, P, K).

    `results_BPK` may hold several benchmarks for the same draws; where `state` has no result its
    values are not read.
    """
    scaled_PKF = {
        "minmax": lambda: _unit_range(state),
        "zscore": lambda: pool_standardised(state),
        "none": lambda: np.broadcast_to(
            state.scores_KF, (*state.results_PK.shape, state.scores_KF.shape[1])
        ),
    }[choices.scale]()
    design_PKQ = design_matrix(scaled_PKF, 2)
    observed_PK = state.observed_PK
    observed_BPK = np.where(observed_PK, results_BPK, 0.0)
    if choices.solver == "plain":
        return _smallest_fit(design_PKQ, observed_PK, observed_BPK)
    count_P1 = np.maximum(observed_PK.sum(axis=1, keepdims=True), 1)
    mean_PQ = (design_PKQ * observed_PK[:, :, None]).sum(axis=1) / count_P1
    mean_BP1 = observed_BPK.sum(axis=2, keepdims=True) / count_P1
    centred_BPK = np.where(observed_PK, observed_BPK - mean_BP1, 0.0)
    return mean_BP1 + _smallest_fit(design_PKQ - mean_PQ[:, None], observed_PK, centred_BPK)


def _smallest_fit(design_PKQ: Floats, observed_PK: Bools, results_BPK: Floats) -> Floats:
    """Least squares of the smallest weights, by pseudo-inverse; unseen rows are zero."""
    inverse_PQK = np.linalg.pinv(design_PKQ * observed_PK[:, :, None], rcond=1e-10)
    weights_BPQ = np.einsum("pqk,bpk->bpq", inverse_PQK, results_BPK)
    return np.einsum("pkq,bpq->bpk", design_PKQ, weights_BPQ)


def _unit_range(state: State) -> Floats:
    """Scores (P, K, F) brought to [0, 1] by the range over each run's open settings."""
    open_PK1 = state.open_PK[:, :, None]
    low = np.where(open_PK1, state.scores_KF, np.inf).min(axis=1, keepdims=True)
    high = np.where(open_PK1, state.scores_KF, -np.inf).max(axis=1, keepdims=True)
    spread = np.where(high > low, high - low, 1.0)
    return np.clip((state.scores_KF - low) / spread, 0.0, 1.0)
