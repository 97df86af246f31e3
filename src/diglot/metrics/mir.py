"""MIR: how far the hidden states of images and text lie apart, over all layers of the LLM.

Source: Huang et al. 2024, "Deciphering Cross-Modal Alignment in Large Vision-Language Models with
Modality Integration Rate": per layer both sides are divided by the mean length of the text tokens,
tokens whose length is beyond three standard deviations are replaced by the median token, and the
Frechet distance of the two sets is taken; MIR is log10 of the sum over layers. The matrix root is
exact here. Legend: N and M tokens, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

OUTLIER_STD = 3.0


def layer_distance(visual_ND: np.ndarray, text_MD: np.ndarray) -> float | None:
    """The Frechet distance of one layer's tokens, >= 0; None with fewer than two on a side.

    None too where text tokens are all zero. Raises ValueError for values that are not finite.
    """
    visual, text = (np.asarray(x, np.float64) for x in (visual_ND, text_MD))
    if not (np.isfinite(visual).all() and np.isfinite(text).all()):
        raise ValueError("hidden states hold values that are not finite")
    scale = np.linalg.norm(text, axis=1).mean() if len(text) else 0.0
    if min(len(visual), len(text)) < 2 or scale <= 0:
        return None
    return frechet_distance(replace_outliers(visual / scale), replace_outliers(text / scale))


@dataclass(frozen=True)
class TokenProducts:
    """Inner products of one layer's tokens, outliers replaced, and the text tokens' lengths."""

    visual_NN: np.ndarray
    cross_NM: np.ndarray
    text_MM: np.ndarray
    length_M: np.ndarray  # before outliers were replaced

    def distance_of(self, visual_N: np.ndarray, text_M: np.ndarray) -> float | None:
        """`layer_distance` of the tokens that two masks choose; outliers are those of all tokens.

        Without a pass over the channels: the roots come from products alone.
        """
        chosen, other = np.flatnonzero(visual_N), np.flatnonzero(text_M)
        scale = self.length_M[other].mean() if len(other) else 0.0
        if min(len(chosen), len(other)) < 2 or scale <= 0:
            return None
        one_NN, two_MM = (
            kernel[np.ix_(index, index)]
            for kernel, index in ((self.visual_NN, chosen), (self.text_MM, other))
        )
        cross_NM = self.cross_NM[np.ix_(chosen, other)]
        gap = one_NN.mean() - 2 * cross_NM.mean() + two_MM.mean()
        spreads = sum((k.trace() - len(k) * k.mean()) / (len(k) - 1) for k in (one_NN, two_MM))
        cross_NM -= cross_NM.mean(axis=1, keepdims=True)
        cross_NM -= cross_NM.mean(axis=0, keepdims=True)
        root = np.linalg.svd(cross_NM, compute_uv=False).sum()
        root /= ((len(chosen) - 1) * (len(other) - 1)) ** 0.5
        return max(0.0, float(gap + spreads - 2 * root)) / float(scale) ** 2


def token_products(visual_ND: np.ndarray, text_MD: np.ndarray) -> TokenProducts:
    """The products of one layer's tokens, float64."""
    visual, text = (np.asarray(x, np.float64) for x in (visual_ND, text_MD))
    length_M = np.linalg.norm(text, axis=1)
    if min(len(visual), len(text)) > 1:
        visual, text = replace_outliers(visual), replace_outliers(text)
    return TokenProducts(visual @ visual.T, visual @ text.T, text @ text.T, length_M)


def replace_outliers(token_ND: np.ndarray) -> np.ndarray:
    """The tokens, those of unusual length as the median token (each channel's median)."""
    length = np.linalg.norm(token_ND, axis=1)
    far = np.abs(length - length.mean()) > OUTLIER_STD * length.std(ddof=1)
    return np.where(far[:, None], np.median(token_ND, axis=0), token_ND)


def frechet_distance(one_ND: np.ndarray, other_MD: np.ndarray) -> float:
    """|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) of two sets of at least two vectors each."""
    gap = one_ND.mean(axis=0) - other_MD.mean(axis=0)
    one, other = (_factor_covariance(x) for x in (one_ND, other_MD))
    # with S = A^T A of each side, Tr (S1 S2)^(1/2) is the sum of the singular values of A1 A2^T
    root = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    distance = gap @ gap + np.square(one).sum() + np.square(other).sum() - 2 * root
    return max(0.0, float(distance))


def _factor_covariance(token_ND: np.ndarray) -> np.ndarray:
    """A with A^T A = the covariance, of min(N, D) rows."""
    centred = (token_ND - token_ND.mean(axis=0)) / (len(token_ND) - 1) ** 0.5
    # more tokens than channels: the triangle of QR has the same product
    if len(centred) <= centred.shape[1]:
        return centred
    triangle: Any = np.linalg.qr(centred, mode="r")
    return triangle


def integration_rate(distances: Sequence[float | None]) -> float | None:
    """log10 of the sum of the layers' distances; lower is nearer. None without a positive sum."""
    total = sum(d for d in distances if d is not None)
    return float(np.log10(total)) if total > 0 else None
