"""CKNNA: CKA over the pairs that are nearest neighbours in both representations.

Source: MMCS Eq. 9 and 10, after Huh et al. 2024. Three readings, each by its name:
rowwise   j is among i's k neighbours in both, and i != j; kernels centred by Eq. 6. The default:
          the words of MMCS ("if j is a neighbor of i in both representation spaces").
printed   Eq. 10 as printed: phi_j near phi_i and psi_i near psi_j.
platonic  the platonic-rep code: the mask of rowwise on kernels not centred, then unbiased HSIC of
          the masked kernels; with k = 10 over few samples it is often not defined. That code adds
          1e-6 to the denominator, which takes 1% off where features of length 1 are wide.
`centring` belongs to the first two: rows (Eq. 6) or double (the usual HSIC).
Legend: N samples, D and E widths.
"""

from typing import Literal

import numpy as np

from diglot.metrics.kernels import (
    Centring,
    centre_kernel,
    inner_products,
    nearest_neighbours,
    normalise_kernel,
    unbiased_hsic,
)

Variant = Literal["rowwise", "printed", "platonic"]
K = 10
PLATONIC_ADDED = 1e-6  # to the denominator, by that code


def cknna(
    feature_ND: np.ndarray,
    other_NE: np.ndarray,
    *,
    k: int = K,
    variant: Variant = "rowwise",
    centring: Centring = "rows",
) -> float | None:
    """CKNNA of paired features, at most 1 but for `platonic`.

    None where a side's own sum is not positive. Raises ValueError where there are not k other
    samples, or for an unknown variant.
    """
    kernels = inner_products(feature_ND), inner_products(other_NE)
    return kernel_cknna(*kernels, k=k, variant=variant, centring=centring)


def kernel_cknna(
    kernel_NN: np.ndarray,
    other_NN: np.ndarray,
    *,
    k: int,
    variant: Variant = "rowwise",
    centring: Centring = "rows",
) -> float | None:
    """CKNNA of features whose inner products (N, N) are given; arguments as of `cknna`."""
    if variant not in ("rowwise", "printed", "platonic"):
        raise ValueError(f"no variant {variant!r}: rowwise, printed or platonic")
    sides = [
        (kernel if variant == "platonic" else centre_kernel(kernel, centring), near)
        for kernel in (kernel_NN, other_NN)
        for near in (nearest_neighbours(kernel, k),)
    ]
    between, own, other = (
        _local_product(sides[a], sides[b], variant) for a, b in ((0, 1), (0, 0), (1, 1))
    )
    added = PLATONIC_ADDED if variant == "platonic" else 0.0
    return normalise_kernel(between, own, other, added=added)


def _local_product(
    side: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], variant: Variant
) -> float:
    """Align(K, L) of Eq. 9, or HSIC of the masked kernels."""
    (kernel, near), (kernel_2, near_2) = side, other
    common = near & (near_2.T if variant == "printed" else near_2)
    if variant == "platonic":
        return unbiased_hsic(common * kernel, common * kernel_2) if len(kernel) > 3 else 0.0
    return float((kernel * kernel_2)[common].sum())
