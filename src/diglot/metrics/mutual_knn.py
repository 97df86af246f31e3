"""Mutual k-NN: how many of a sample's nearest neighbours two representations agree on.

Source: MMCS Eq. 11 and 12, k = 10; similarity is the inner product of rows of length 1, a sample is
no neighbour of itself. Legend: N samples, D and E widths.
"""

import numpy as np

from diglot.metrics.kernels import inner_products, nearest_neighbours

K = 10


def neighbour_overlap(feature_ND: np.ndarray, other_NE: np.ndarray, *, k: int = K) -> np.ndarray:
    """The shared share of each sample's k neighbours, float64 (N,) in [0, 1]; their mean scores.

    By chance it is k / (N - 1). Raises ValueError where there are not k other samples.
    """
    return kernel_overlap(*(inner_products(x) for x in (feature_ND, other_NE)), k=k)


def kernel_overlap(kernel_NN: np.ndarray, other_NN: np.ndarray, *, k: int = K) -> np.ndarray:
    """The same of two inner-product kernels; rows are brought to length 1 by their diagonals."""
    near, other = (nearest_neighbours(_kernel_cosines(x), k) for x in (kernel_NN, other_NN))
    return (near & other).sum(axis=1) / k


def _kernel_cosines(kernel_NN: np.ndarray) -> np.ndarray:
    """The cosines of rows whose inner products are given; 0 with a zero row."""
    length_N = np.sqrt(np.diag(kernel_NN).clip(min=0.0))
    scale_N = np.divide(1.0, length_N, out=np.zeros_like(length_N), where=length_N > 0)
    return kernel_NN * scale_N[:, None] * scale_N
