"""Mutual k-NN: how many of a sample's nearest neighbours two representations agree on.

Source: MMCS Eq. 11 and 12, k = 10; similarity is the inner product of rows of length 1, a sample is
no neighbour of itself. Legend: N samples, D and E widths.
"""

import numpy as np

from diglot.metrics.kernels import inner_products, nearest_neighbours
from diglot.metrics.tacs import unit_rows

K = 10


def neighbour_overlap(feature_ND: np.ndarray, other_NE: np.ndarray, *, k: int = K) -> np.ndarray:
    """The shared share of each sample's k neighbours, float64 (N,) in [0, 1]; their mean scores.

    By chance it is k / (N - 1). Raises ValueError where there are not k other samples.
    """
    near, other = (
        nearest_neighbours(inner_products(unit_rows(x)), k) for x in (feature_ND, other_NE)
    )
    return (near & other).sum(axis=1) / k
