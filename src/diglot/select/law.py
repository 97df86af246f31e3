"""The polynomial law: results as a quadratic (or linear) function of scores, by least squares.

"Law of Vision Representation in MLLMs", section 3.3, equation 3. The paper gives R2 on the points
it fits; leave-one-out R2, which it does not give, stands beside it here. Every column is brought to
[0, 1] by its range first: this changes no R2, and makes the coefficients comparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy.stats import t as student_t

from diglot.core.errors import ConfigError, DataError
from diglot.select.table import Floats

CONFIDENCE = 0.95
LEVERAGE_LIMIT = 1 - 1e-9  # a point above it decides its own fitted value: it cannot be left out
OVERFIT_GAP = 0.10  # R2 minus leave-one-out R2 that is worth a warning


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """One term's weight, in results per range of its columns, with a 95% t interval."""

    term: str
    value: float
    low: float | None  # None where no degree of freedom is left
    high: float | None


@dataclass(frozen=True, kw_only=True)
class LawFit:
    """A fitted law. R2 are fractions in (-inf, 1]; None where they are undefined."""

    columns: tuple[str, ...]
    degree: int
    points: int
    parameters: int
    r2: float | None
    loo_r2: float | None
    coefficients: tuple[Coefficient, ...]
    warnings: tuple[str, ...]
    low_F: Floats
    range_F: Floats
    weights_Q: Floats

    def predict(self, scores_KF: Floats) -> Floats:
        """Predicted results (K,) at `scores_KF`, in the results' unit."""
        return design_matrix((scores_KF - self.low_F) / self.range_F, self.degree) @ self.weights_Q


def polynomial_terms(names: Sequence[str], degree: int) -> list[tuple[str, ...]]:
    """Every product of up to `degree` columns, the empty one (intercept) first."""
    return [
        product
        for size in range(degree + 1)
        for product in combinations_with_replacement(names, size)
    ]


def design_matrix(scores_KF: Floats, degree: int) -> Floats:
    """Polynomial terms (..., K, Q) of scores (..., K, F), in the order of `terms`."""
    width = scores_KF.shape[-1]
    products = polynomial_terms([str(f) for f in range(width)], degree)
    columns = [np.prod(scores_KF[..., [int(f) for f in product]], axis=-1) for product in products]
    return np.stack(columns, axis=-1)


def fit_law(columns: Sequence[str], scores_KF: Floats, results_K: Floats, *, degree: int) -> LawFit:
    """Least squares of `results_K` on the polynomial of `scores_KF`.

    Raises ConfigError for a degree other than 1 or 2, DataError for fewer than three points, a
    constant column or constant results.
    """
    _check_table(columns, scores_KF, results_K, degree)
    low_F = scores_KF.min(axis=0)
    range_F = np.ptp(scores_KF, axis=0)
    design_KQ = design_matrix((scores_KF - low_F) / range_F, degree)
    weights_Q, _, rank, _ = np.linalg.lstsq(design_KQ, results_K, rcond=None)
    residual_K = results_K - design_KQ @ weights_Q
    leverage_K = hat_leverages(design_KQ)
    total = np.sum((results_K - results_K.mean()) ** 2)
    determined = bool(rank == design_KQ.shape[1] and len(results_K) > rank)
    r2 = float(1 - residual_K @ residual_K / total) if determined else None
    loo_r2 = loo_r2_of(residual_K, leverage_K, total) if determined else None
    names = ["·".join(product) or "1" for product in polynomial_terms(columns, degree)]
    return LawFit(
        columns=tuple(columns),
        degree=degree,
        points=len(results_K),
        parameters=design_KQ.shape[1],
        r2=r2,
        loo_r2=loo_r2,
        coefficients=_estimate_coefficients(
            names, weights_Q, design_KQ, residual_K, determined=determined
        ),
        warnings=tuple(_list_warnings(design_KQ.shape, int(rank), r2, loo_r2)),
        low_F=low_F,
        range_F=range_F,
        weights_Q=weights_Q,
    )


def hat_leverages(design_KQ: Floats) -> Floats:
    """Diagonal (K,) of the hat matrix, each in [0, 1]."""
    basis_KR, sizes_R, _ = np.linalg.svd(design_KQ, full_matrices=False)
    kept = sizes_R > sizes_R[0] * max(design_KQ.shape) * np.finfo(float).eps
    return np.sum(basis_KR[:, kept] ** 2, axis=1)


def loo_r2_of(residual_K: Floats, leverage_K: Floats, total: float) -> float | None:
    """Leave-one-out R2 in closed form: residual / (1 - leverage) is the residual of the fit without
    the point. Total variance is about the mean of all points. None where a point has leverage 1."""
    if np.any(leverage_K > LEVERAGE_LIMIT):
        return None
    left_out_K = residual_K / (1 - leverage_K)
    return float(1 - left_out_K @ left_out_K / total)


def random_r2(points: int, parameters: int) -> float:
    """Expected R2 of a fit on random scores: (parameters - 1) / (points - 1), exact.

    Rows of random scores are exchangeable, so the expected centred hat matrix is a multiple of the
    centring matrix, and its trace is the number of columns.
    """
    return min(1.0, (parameters - 1) / (points - 1))


def _estimate_coefficients(
    names: Sequence[str],
    weights_Q: Floats,
    design_KQ: Floats,
    residual_K: Floats,
    *,
    determined: bool,
) -> tuple[Coefficient, ...]:
    if not determined:
        return tuple(
            Coefficient(term=name, value=float(weight), low=None, high=None)
            for name, weight in zip(names, weights_Q, strict=True)
        )
    freedom = len(residual_K) - len(weights_Q)
    variance = residual_K @ residual_K / freedom
    spread_Q = np.sqrt(variance * np.diag(np.linalg.pinv(design_KQ.T @ design_KQ)))
    half_Q = student_t.ppf((1 + CONFIDENCE) / 2, freedom) * spread_Q
    return tuple(
        Coefficient(term=n, value=float(w), low=float(w - h), high=float(w + h))
        for n, w, h in zip(names, weights_Q, half_Q, strict=True)
    )


def _list_warnings(shape: tuple[int, int], rank: int, r2: float | None, loo_r2: float | None):
    points, parameters = shape
    if rank < parameters or points <= parameters:
        yield (
            f"under-determined: {parameters} parameters on {points} points of rank {rank}; the "
            "curve passes through the points whatever they are, so R2 says nothing"
        )
        return
    if points < 3 * parameters:
        yield f"{parameters} parameters on {points} points: trust the leave-one-out R2"
    if loo_r2 is None:
        yield "a single point decides a parameter: leave-one-out R2 is undefined"
    elif r2 is not None and r2 - loo_r2 > OVERFIT_GAP:
        yield f"overfitted: R2 {r2:.2f}, but {loo_r2:.2f} on points left out"


def _check_table(columns: Sequence[str], scores_KF: Floats, results_K: Floats, degree: int) -> None:
    if degree not in (1, 2):
        raise ConfigError("unknown degree", expected="1 (linear) or 2 (quadratic)", got=degree)
    if len(results_K) < 3:
        raise DataError("too few settings with a result", expected="at least 3", got=len(results_K))
    for column, scores_K in zip(columns, scores_KF.T, strict=True):
        if np.ptp(scores_K) == 0:
            raise DataError(f"column {column!r} is the same for every setting")
    if np.ptp(results_K) == 0:
        raise DataError("the results are the same for every setting: there is nothing to fit")
