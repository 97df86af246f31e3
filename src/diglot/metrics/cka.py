"""CKA: global similarity of two representations of the same samples.

Source: MMCS Eq. 6 to 8 (after Kornblith et al. 2019), inner-product kernels. Eq. 6 centres rows
alone; under the trace of Eq. 7 that equals centring both sides, so the biased form here is the
usual one. Legend: N samples, D and E widths.
"""

import numpy as np

from diglot.metrics.kernels import biased_hsic, inner_products, normalise_kernel, unbiased_hsic


def cka(feature_ND: np.ndarray, other_NE: np.ndarray, *, unbiased: bool = False) -> float | None:
    """CKA of paired features: in [0, 1] where biased; unbiased it may be below 0.

    None where fewer than two samples (unbiased: four) or a side's own HSIC is not positive.
    """
    return kernel_cka(inner_products(feature_ND), inner_products(other_NE), unbiased=unbiased)


def kernel_cka(
    kernel_NN: np.ndarray, other_NN: np.ndarray, *, unbiased: bool = False
) -> float | None:
    """`cka` of features whose inner products (N, N) are given; None as there."""
    if len(kernel_NN) < (4 if unbiased else 2):
        return None
    hsic = unbiased_hsic if unbiased else biased_hsic
    own, other = hsic(kernel_NN, kernel_NN), hsic(other_NN, other_NN)
    # of constant features rounding leaves a trace that is no variance
    floor_own, floor_other = (1e-24 * float(np.square(k).mean()) for k in (kernel_NN, other_NN))
    if own <= floor_own or other <= floor_other:
        return None
    return normalise_kernel(hsic(kernel_NN, other_NN), own, other)
