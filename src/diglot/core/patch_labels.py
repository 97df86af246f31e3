"""Words for the patches of one image, and how they pass to the visual tokens of another grid.

SEA section 3.1 gives each patch its n best words with their scores; the labelling encoder's grid
need not be the trained one's (SEA Table 5: CLIP's labels train DINOv2). The paper does not say how
labels cross over; here they go through the image, by area:

    score(token, word) = sum over patches of |token and patch| / |token| * score(patch, word)

where |token| is the area of the token's cell on the image itself, padding left out. Legend:
P visual tokens, M patches of the labelling grid, K pairs that overlap, L labels of all pairs.
"""

from itertools import chain

import numpy as np

from diglot.core.geometry import TOUCH_PX, TokenGrid
from diglot.core.types import PatchLabels

__all__ = ["PatchLabels", "labels_on"]

Labels = tuple[tuple[str, float], ...]


def labels_on(grid: TokenGrid, labels: PatchLabels, *, keep: int) -> list[Labels]:
    """The `keep` best (word, score) of each of the P visual tokens, best first, ties by word.

    Scores are above 0. Where the grids are the same, so are the labels. A token wholly on padding
    gets none, and a patch gives nothing beyond the image.
    """
    cells_P4 = _on_image(grid)
    size_P = _cell_areas(cells_P4)
    if np.array_equal(grid.cells_P4, labels.cells_M4):
        return [
            tuple(zip(words[:keep], scores[:keep], strict=True)) if size > 0 else ()
            for words, scores, size in zip(labels.words, labels.scores, size_P, strict=True)
        ]
    share_PM = _overlap_areas(cells_P4, labels.cells_M4) / np.where(size_P > 0, size_P, 1)[:, None]
    return _keep_best(share_PM, labels, keep)


def _on_image(grid: TokenGrid) -> np.ndarray:
    """The part of each token's cell that is on the image, xyxy (P, 4); empty on padding."""
    height, width = grid.size_hw
    return grid.cells_P4.clip(0.0, [width, height, width, height])


def _cell_areas(cells_P4: np.ndarray) -> np.ndarray:
    return np.prod(_clip_lengths(cells_P4[:, 2:] - cells_P4[:, :2]), axis=1)


def _overlap_areas(cells_P4: np.ndarray, others_M4: np.ndarray) -> np.ndarray:
    """Area that each cell shares with each other one, (P, M)."""
    area_PM = np.ones((len(cells_P4), len(others_M4)))
    for low, high in ((0, 2), (1, 3)):
        start_PM = np.maximum.outer(cells_P4[:, low], others_M4[:, low])
        end_PM = np.minimum.outer(cells_P4[:, high], others_M4[:, high])
        area_PM *= _clip_lengths(end_PM - start_PM)
    return area_PM


def _clip_lengths(differences: np.ndarray) -> np.ndarray:
    """Touching edges do not overlap: what is thinner than rounding is none."""
    return np.where(differences > TOUCH_PX, differences, 0.0)


def _keep_best(share_PM: np.ndarray, labels: PatchLabels, keep: int) -> list[Labels]:
    """Sum the shares of every (token, word), and keep each token's best."""
    vocabulary = sorted(set(chain(*labels.words)))
    rank = {word: index for index, word in enumerate(vocabulary)}
    word_L = np.array([rank[word] for word in chain(*labels.words)], np.int64)
    score_L = np.array(list(chain(*labels.scores)), np.float64)
    token_K, patch_K = np.nonzero(share_PM)
    label_L, pair_L = _labels_of(patch_K, np.array([len(row) for row in labels.words], np.int64))
    key_L = token_K[pair_L] * max(1, len(vocabulary)) + word_L[label_L]
    weight_L = share_PM[token_K, patch_K][pair_L] * score_L[label_L]
    key, inverse_L = np.unique(key_L, return_inverse=True)
    score = np.bincount(inverse_L, weights=weight_L, minlength=len(key))
    token, word = np.divmod(key, max(1, len(vocabulary)))
    order = np.lexsort((word, -score, token))
    token, word, score = token[order], word[order], score[order]
    ends = np.searchsorted(token, np.arange(len(share_PM) + 1))
    return [_read_row(vocabulary, word, score, ends[p : p + 2], keep) for p in range(len(share_PM))]


def _read_row(
    vocabulary: list[str], word: np.ndarray, score: np.ndarray, ends: np.ndarray, keep: int
) -> Labels:
    rows = slice(int(ends[0]), int(min(ends[1], ends[0] + keep)))
    found = zip(word[rows].tolist(), score[rows].tolist(), strict=True)
    return tuple((vocabulary[w], s) for w, s in found if s > 0)  # a tiny score may round to 0


def _labels_of(patch_K: np.ndarray, count_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all labels of all pairs' patches, and of the pair each belongs to, both (L,)."""
    first_M = np.cumsum(count_M) - count_M
    count_K = count_M[patch_K]
    pair_L = np.repeat(np.arange(len(patch_K)), count_K)
    within_L = np.arange(len(pair_L)) - np.repeat(np.cumsum(count_K) - count_K, count_K)
    return first_M[patch_K][pair_L] + within_L, pair_L
