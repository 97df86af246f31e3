"""What other benchmarks teach about a new one: the shape of the law, and how far settings stray.

Ours. The paper fits its polynomial anew on the k' results of each benchmark; but benchmarks share
the shape (higher A and C, better results), so it is learned here from benchmarks whose results are
known, and the few results of the new one only have to place and scale it.
"""

from dataclasses import dataclass

import numpy as np

from diglot.config.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat
from diglot.select.law import design_matrix, polynomial_terms
from diglot.select.policies.policy import State, pool_standardised
from diglot.select.table import Floats


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Hyper-parameters, chosen on benchmarks other than the one they serve (`choose.py`)."""

    # The polynomial's weights are the mean of ridge fits of every degree and ridge named here. One
    # pair chosen by recall did worse than their mean: seven benchmarks are too few to choose by.
    degrees: tuple[NonNegativeInt, ...] = (1, 2)
    """Degrees of the polynomials."""
    ridges: tuple[NonNegativeFloat, ...] = (0.3, 1.0, 3.0, 10.0)
    """Strengths of the ridge, in settings' worth of evidence."""
    smooth: NonNegativeFloat = 0.0
    """Share in [0, 1] of the straying that is alike for settings of like scores."""
    length: PositiveFloat = 1.0
    """Reach of that likeness, in deviations of the scores."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Expected standardised results and how settings stray from them (variance per setting)."""

    config: PriorConfig
    weights: Floats  # quadratic terms (Q,), or (K, Q) where each setting has its own
    variance: float
    offset: Floats | float = 0.0  # (K,) expected results that do not come from the scores

    def mean(self, state: State) -> Floats:
        """Expected results (P, K), in deviations of a benchmark's results."""
        design_PKQ = design_matrix(pool_standardised(state), 2)
        return np.sum(design_PKQ * self.weights, axis=-1) + self.offset

    def covariance(self, state: State) -> Floats:
        """Covariance (P, K, K) of the straying: a part alike for like scores, a part its own."""
        scores_PKF = pool_standardised(state)
        apart = scores_PKF[:, :, None] - scores_PKF[:, None, :]
        alike = np.exp(-0.5 * np.sum(apart**2, axis=-1) / self.config.length**2)
        own = np.eye(scores_PKF.shape[1])
        smooth = self.config.smooth
        return self.variance * (smooth * alike + (1 - smooth) * own)


def learn_prior(
    scores_KF: Floats, results_BK: Floats, config: PriorConfig, *, crossfit: bool = False
) -> Prior:
    """The prior from benchmarks B with results on all of the K settings.

    With `crossfit` the expectation of setting k comes from a fit without k, for honest trials on
    the very settings the prior is learned from.
    """
    design_KQ = _quadratic_terms(scores_KF)
    width = scores_KF.shape[1]
    standard_BK = standardise_results(results_BK)
    mean_K = standard_BK.mean(axis=0)
    weights_Q = _mean_ridge(design_KQ, mean_K, width, config)
    variance = float(np.mean((standard_BK - design_KQ @ weights_Q) ** 2))
    if not crossfit:
        return Prior(config=config, weights=weights_Q, variance=variance)
    weights_KQ = np.stack(
        [
            _mean_ridge(np.delete(design_KQ, k, 0), np.delete(mean_K, k), width, config)
            for k in range(len(mean_K))
        ]
    )
    return Prior(config=config, weights=weights_KQ, variance=variance)


def related_prior(scores_KF: Floats, related_BK: Floats, config: PriorConfig) -> Prior:
    """The prior of a user who has the SAME settings' results on other benchmarks.

    Expected is the settings' mean standardised result there; straying is what a benchmark differs
    from the mean of the others. Scores only enter through the covariance.
    """
    standard_BK = standardise_results(related_BK)
    variance = 1.0
    if len(standard_BK) > 1:
        others_BK = (standard_BK.sum(axis=0) - standard_BK) / (len(standard_BK) - 1)
        variance = float(np.mean((standard_BK - others_BK) ** 2))
    nothing_Q = np.zeros(_quadratic_terms(scores_KF).shape[1])
    return Prior(
        config=config, weights=nothing_Q, variance=variance, offset=standard_BK.mean(axis=0)
    )


def plain_prior(columns: int, config: PriorConfig) -> Prior:
    """Without any other benchmark: every score helps, alike; settings stray by as much."""
    weights_Q = np.zeros(len(polynomial_terms([str(f) for f in range(columns)], 2)))
    weights_Q[1 : columns + 1] = np.sqrt(0.5 / columns)
    return Prior(config=config, weights=weights_Q, variance=0.5)


def standardise_results(results_BK: Floats) -> Floats:
    """Each benchmark's results with mean 0 and deviation 1 over the settings."""
    centred_BK = results_BK - results_BK.mean(axis=1, keepdims=True)
    deviation_B1 = centred_BK.std(axis=1, keepdims=True)
    return centred_BK / np.where(deviation_B1 > 0, deviation_B1, 1.0)


def _quadratic_terms(scores_KF: Floats) -> Floats:
    """Quadratic terms (K, Q) of scores standardised over all K settings."""
    count = len(scores_KF)
    state = State(
        scores_KF=scores_KF,
        results_PK=np.full((1, count), np.nan),
        open_PK=np.ones((1, count), dtype=bool),
    )
    return design_matrix(pool_standardised(state)[0], 2)


def _mean_ridge(design_KQ: Floats, result_K: Floats, width: int, config: PriorConfig) -> Floats:
    """Mean weights (Q,) over degrees and ridges; a linear fit has zero quadratic weights."""
    fits = []
    for degree in config.degrees:
        used = design_KQ.shape[1] if degree == 2 else 1 + width
        for ridge in config.ridges:
            weights_Q = np.zeros(design_KQ.shape[1])
            weights_Q[:used] = _solve_ridge(design_KQ[:, :used], result_K, ridge)
            fits.append(weights_Q)
    return np.mean(fits, axis=0)


def _solve_ridge(design_KQ: Floats, result_K: Floats, ridge: float) -> Floats:
    penalty_QQ = ridge * np.eye(design_KQ.shape[1])
    penalty_QQ[0, 0] = 0.0  # the intercept is free
    return np.linalg.solve(design_KQ.T @ design_KQ + penalty_QQ, design_KQ.T @ result_K)
