"""Von Neumann entropy of a set of feature vectors: how evenly they spread over directions.

Source: Patch-aligned, Definition 3.1: H = -sum of p log p over the eigenvalues p of
Sigma / trace(Sigma), Sigma = (1/n) sum of v v^T. The vectors are not centred, the logarithm is
natural, and 0 log 0 = 0. Legend: N vectors, D their width.
"""

import numpy as np


def second_moment(vectors_ND: np.ndarray) -> np.ndarray:
    """Sum of v v^T over the vectors, float64 (D, D); moments of parts of a set add up."""
    vectors = np.asarray(vectors_ND, np.float64)
    return vectors.T @ vectors


def moment_entropy(moment_DD: np.ndarray) -> float | None:
    """Entropy in nats of vectors of this second moment, in [0, log D]; None where all are zero.

    A Gram matrix (N, N) of the vectors gives the same. Raises ValueError for values not finite.
    """
    moment = np.asarray(moment_DD, np.float64)
    if not np.isfinite(moment).all():
        raise ValueError("the moment holds values that are not finite")
    trace = float(np.trace(moment))
    if trace <= 0:
        return None
    # rounding leaves tiny negative eigenvalues, which are zeros
    share_D = np.linalg.eigvalsh(moment / trace).clip(min=0.0)
    share_D = share_D[share_D > 0] / share_D.sum()
    return abs(float(-(share_D * np.log(share_D)).sum()))


def von_neumann_entropy(vectors_ND: np.ndarray) -> float | None:
    """Entropy in nats of the vectors, in [0, log min(N, D)]; None for none, or zeros alone."""
    vectors = np.asarray(vectors_ND, np.float64)
    count, width = vectors.shape
    # both sides have the same eigenvalues but for zeros: take the smaller
    return moment_entropy(vectors @ vectors.T if count < width else vectors.T @ vectors)
