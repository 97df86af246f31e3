"""Kernels of paired features, their centring, HSIC, and neighbours: what CKA and CKNNA share.

Sources: MMCS Eq. 6 and 7; Gretton et al. 2005 (biased HSIC); Song et al. 2012 (unbiased HSIC, Eq. 5
there). Legend: N samples, D width.
"""

from typing import Literal

import numpy as np

from diglot.metrics.tacs import unit_rows

Centring = Literal["rows", "double"]
Preparation = Literal["none", "platonic"]


def prepare_features(feature_ND: np.ndarray, how: Preparation) -> np.ndarray:
    """Features as they are, or as the platonic-rep code prepares them; float64 (N, D).

    platonic: values clamped to the mean over samples of the 95th percentile of a sample's |x|, then
    rows of length 1. Here each layer has a percentile of its own; that code takes one over all
    layers of a model together. Raises ValueError for values that are not finite.
    """
    feature = np.asarray(feature_ND, np.float64)
    if not np.isfinite(feature).all():
        raise ValueError("features hold values that are not finite")
    if how == "none":
        return feature
    limit = float(np.quantile(np.abs(feature), 0.95, axis=1).mean()) if len(feature) else 0.0
    return unit_rows(feature.clip(-limit, limit))


def inner_products(feature_ND: np.ndarray) -> np.ndarray:
    """The inner-product kernel, float64 (N, N)."""
    feature = np.asarray(feature_ND, np.float64)
    return feature @ feature.T


def centre_kernel(kernel_NN: np.ndarray, how: Centring) -> np.ndarray:
    """rows: each row less its mean, MMCS Eq. 6 as printed; double: columns too, the usual HSIC."""
    rows = kernel_NN - kernel_NN.mean(axis=1, keepdims=True)
    return rows if how == "rows" else rows - rows.mean(axis=0, keepdims=True)


def biased_hsic(kernel_NN: np.ndarray, other_NN: np.ndarray) -> float:
    """Trace(K H L H) / (N - 1)^2: MMCS Eq. 7. With Eq. 6's rows it is the same: K H = centred."""
    centred, other = (centre_kernel(k, "rows") for k in (kernel_NN, other_NN))
    return float((centred * other.T).sum() / (len(kernel_NN) - 1) ** 2)


def unbiased_hsic(kernel_NN: np.ndarray, other_NN: np.ndarray) -> float:
    """The unbiased estimate over N >= 4 samples; it may be negative. Diagonals do not count."""
    n = len(kernel_NN)
    kernel, other = kernel_NN.copy(), other_NN.copy()
    np.fill_diagonal(kernel, 0.0)
    np.fill_diagonal(other, 0.0)
    trace = (kernel * other.T).sum()
    sums = kernel.sum() * other.sum() / ((n - 1) * (n - 2))
    cross = 2 * (kernel.sum(axis=0) @ other.sum(axis=1)) / (n - 2)
    return float((trace + sums - cross) / (n * (n - 3)))


def nearest_neighbours(kernel_NN: np.ndarray, k: int) -> np.ndarray:
    """Whether column j is one of the k most similar to row i, bool (N, N); i itself never is.

    Raises ValueError where there are not k others.
    """
    n = len(kernel_NN)
    if not 1 <= k < n:
        raise ValueError(f"k must be between 1 and {n - 1}, the other samples; got {k}")
    others = kernel_NN.copy()
    np.fill_diagonal(others, -np.inf)
    near = np.zeros((n, n), dtype=bool)
    chosen_NK = np.argsort(-others, axis=1, kind="stable")[:, :k]
    np.put_along_axis(near, chosen_NK, True, axis=1)
    return near


def normalise_kernel(
    between: float, own: float, other: float, *, added: float = 0.0
) -> float | None:
    """between / (sqrt(own * other) + added); None where a side is not positive: it has no scale."""
    return None if own <= 0 or other <= 0 else float(between / (own**0.5 * other**0.5 + added))
