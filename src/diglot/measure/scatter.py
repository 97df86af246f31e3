"""Visual tokens and the LLM's own embeddings in a plane, as SEA Fig. 2 shows them.

t-SNE (van der Maaten and Hinton 2008) by scikit-learn where it is installed, else the first two
principal components, and the result says which: the two do not look alike. A plane of its own for
every checkpoint: positions of two panels do not compare, how the two sets mix in each does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from diglot.measure.projected import ProjectedSample
from diglot.measure.word_space import WordSpace

EXTRA = "pip install 'diglot[figures]'"


def scatter_json(
    scenes: Sequence[ProjectedSample], space: WordSpace, points: int, *, seed: int
) -> dict[str, Any] | None:
    """The plane of `points` visual tokens and as many word embeddings; None with under 2 of one.

    Both are drawn at random by the seed, the words among those of the list.
    """
    if points < 2 or not scenes:
        return None
    rng = np.random.default_rng(seed)
    visual = _draw_tokens(scenes, points, rng)
    word = space.word_WD[_draw_numbers(len(space.word_WD), points, rng)]
    if min(len(visual), len(word)) < 2:
        return None
    plane_N2, method = project_plane(np.concatenate([visual, word]), seed=seed)
    plane_N2 = np.round(_unit_square(plane_N2), 4)
    return {
        "method": method,
        "visual": plane_N2[: len(visual)].tolist(),
        "words": plane_N2[len(visual) :].tolist(),
    }


def _draw_numbers(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.permutation(total)[:count])


def _draw_tokens(
    scenes: Sequence[ProjectedSample], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Visual tokens of all scenes together, float32; an image at a time is read."""
    first = np.cumsum([0, *(len(scene.grid) for scene in scenes)])
    drawn = _draw_numbers(int(first[-1]), count, rng)
    rows = []
    for scene, start, end in zip(scenes, first, first[1:], strict=False):
        own = drawn[(drawn >= start) & (drawn < end)] - start
        if len(own):
            rows.append(scene.visual_PD[torch.from_numpy(own)].detach().float().cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def project_plane(rows_ND: np.ndarray, *, seed: int) -> tuple[np.ndarray, str]:
    """Rows in two dimensions (N, 2), and the method's name."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return principal_plane(rows_ND), "PCA (t-SNE needs scikit-learn)"
    perplexity = min(30.0, max(1.0, (len(rows_ND) - 1) / 3))
    model = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return np.asarray(model.fit_transform(rows_ND), np.float64), f"t-SNE, perplexity {perplexity:g}"


def principal_plane(rows_ND: np.ndarray) -> np.ndarray:
    """The first two principal components (N, 2), each with its largest entry positive."""
    centred_ND = np.asarray(rows_ND, np.float64) - rows_ND.mean(axis=0)
    left, size, _ = np.linalg.svd(centred_ND, full_matrices=False)
    plane = left[:, :2] * size[:2]
    # the sign of a component is free: fix it, so that pages repeat
    largest = plane[np.abs(plane).argmax(axis=0), np.arange(plane.shape[1])]
    plane = plane * np.where(largest < 0, -1.0, 1.0)
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def _unit_square(plane_N2: np.ndarray) -> np.ndarray:
    """The same shape inside [0, 1] x [0, 1], its longer side filling it."""
    low = plane_N2.min(axis=0)
    side = float((plane_N2.max(axis=0) - low).max()) or 1.0
    return (plane_N2 - low) / side
