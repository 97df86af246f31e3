"""Gaussian-process posterior of a benchmark whose place and scale are unknown, batched over runs.

A result is y = place + scale · z with z ~ N(mean, covariance) from the prior. Place has a flat
prior; so has log scale, on a grid. This makes the answer the same in per cent, points or any unit.
(The algebra is the usual one: Rasmussen and Williams, Gaussian Processes, sections 2.2 and 2.7.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from diglot.select.policies.policy import Floats, Ints, State

FLAT = 100.0  # variance of the place, in the prior's deviations: flat for all practical purposes
INVERSE_SCALES = np.geomspace(1e-2, 1e2, 61)  # 1 / scale, the results being standardised
JITTER = 1e-6


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """What is believed of every setting of every run, in standardised results.

    value = level + slope / inverse_scale + noise / inverse_scale, per grid point of inverse_scale.
    """

    level_PK: Floats
    slope_PK: Floats
    root_PKK: Floats  # Cholesky root of the covariance, in the prior's deviations
    weight_PG: Floats  # of each grid point; sums to 1
    place_P1: Floats  # results = place + spread · standardised results
    spread_P1: Floats

    def mean(self) -> Floats:
        """Expected results (P, K) in their unit, at the expected inverse scale.

        Not at the expected scale: with two results that hardly exists (its tail is too heavy).
        """
        inverse_P1 = self.weight_PG @ INVERSE_SCALES[:, None]
        return self.place_P1 + self.spread_P1 * (self.level_PK + self.slope_PK / inverse_P1)

    def draw(self, count: int, rng: Generator) -> Floats:
        """`count` draws of all results, (P, count, K), in their unit."""
        runs, width = self.level_PK.shape
        cumulative_P1G = self.weight_PG.cumsum(axis=1)[:, None, :]
        uniform_PD1 = rng.random((runs, count, 1))
        picks_PD = np.minimum((uniform_PD1 > cumulative_P1G).sum(axis=2), len(INVERSE_SCALES) - 1)
        noise_PDK = rng.standard_normal((runs, count, width)) @ self.root_PKK.transpose(0, 2, 1)
        moved_PDK = (self.slope_PK[:, None] + noise_PDK) / INVERSE_SCALES[picks_PD][:, :, None]
        return self.place_P1[:, None] + self.spread_P1[:, None] * (
            self.level_PK[:, None] + moved_PDK
        )


def observed_index(state: State) -> Ints:
    """Indices (P, N) of the settings with results, in table order."""
    order_PK = np.argsort(~state.observed_PK, axis=1, kind="stable")
    return order_PK[:, : state.observed_count]


def condition_prior(state: State, mean_PK: Floats, covariance_PKK: Floats) -> Posterior:
    """The posterior after the results of `state`; those have no uncertainty left.

    With fewer than two results nothing is known of the scale: the prior itself comes back, in its
    own deviations.
    """
    runs = len(mean_PK)
    if state.observed_count < 2:
        return _prior_itself(mean_PK, covariance_PKK)
    observed_PN = observed_index(state)
    rows_P11 = np.arange(runs)[:, None, None]
    result_PN, place_P1, spread_P1 = _standardise_results(
        np.take_along_axis(state.results_PK, observed_PN, 1)
    )
    mean_PN = np.take_along_axis(mean_PK, observed_PN, axis=1)
    placed_PKK = covariance_PKK + FLAT
    cross_PKN = placed_PKK[
        rows_P11, np.arange(mean_PK.shape[1])[None, :, None], observed_PN[:, None]
    ]
    observed_PNN = placed_PKK[rows_P11, observed_PN[:, :, None], observed_PN[:, None]]
    inverse_PNN = np.linalg.inv(observed_PNN)
    gain_PKN = cross_PKN @ inverse_PNN
    left_PKK = placed_PKK - gain_PKN @ cross_PKN.transpose(0, 2, 1)
    root_PKK = np.linalg.cholesky(left_PKK + JITTER * np.eye(mean_PK.shape[1]))
    np.put_along_axis(
        root_PKK, np.repeat(observed_PN[:, :, None], root_PKK.shape[2], 2), 0.0, axis=1
    )
    level_PK = _apply_gain(gain_PKN, result_PN)
    slope_PK = mean_PK - _apply_gain(gain_PKN, mean_PN)
    np.put_along_axis(level_PK, observed_PN, result_PN, axis=1)
    np.put_along_axis(slope_PK, observed_PN, 0.0, axis=1)
    return Posterior(
        level_PK=level_PK,
        slope_PK=slope_PK,
        root_PKK=root_PKK,
        weight_PG=_scale_weights(result_PN, mean_PN, inverse_PNN),
        place_P1=place_P1,
        spread_P1=spread_P1,
    )


def _scale_weights(result_PN: Floats, mean_PN: Floats, inverse_PNN: Floats) -> Floats:
    """Posterior (P, G) of the inverse scale: N(result · inverse_scale; mean, covariance), the place
    taking one degree of freedom."""
    square_P1 = np.einsum("pn,pnm,pm->p", result_PN, inverse_PNN, result_PN)[:, None]
    cross_P1 = np.einsum("pn,pnm,pm->p", result_PN, inverse_PNN, mean_PN)[:, None]
    log_PG = -0.5 * INVERSE_SCALES**2 * square_P1 + INVERSE_SCALES * cross_P1
    log_PG = log_PG + (result_PN.shape[1] - 1) * np.log(INVERSE_SCALES)
    weight_PG = np.exp(log_PG - log_PG.max(axis=1, keepdims=True))
    return weight_PG / weight_PG.sum(axis=1, keepdims=True)


def _prior_itself(mean_PK: Floats, covariance_PKK: Floats) -> Posterior:
    runs, width = mean_PK.shape
    weight_PG = np.zeros((runs, len(INVERSE_SCALES)))
    weight_PG[:, len(INVERSE_SCALES) // 2] = 1.0  # the middle of the grid is 1
    return Posterior(
        level_PK=np.zeros_like(mean_PK),
        slope_PK=mean_PK,
        root_PKK=np.linalg.cholesky(covariance_PKK + JITTER * np.eye(width)),
        weight_PG=weight_PG,
        place_P1=np.zeros((runs, 1)),
        spread_P1=np.ones((runs, 1)),
    )


def _standardise_results(result_PN: Floats) -> tuple[Floats, Floats, Floats]:
    place_P1 = result_PN.mean(axis=1, keepdims=True)
    spread_P1 = result_PN.std(axis=1, keepdims=True)
    spread_P1 = np.where(spread_P1 > 0, spread_P1, 1.0)  # equal results so far
    return (result_PN - place_P1) / spread_P1, place_P1, spread_P1


def _apply_gain(gain_PKN: Floats, vector_PN: Floats) -> Floats:
    return np.einsum("pkn,pn->pk", gain_PKN, vector_PN)
