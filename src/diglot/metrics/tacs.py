"""TACS: how near the best visual tokens of an image lie to the words of its caption.

Source: SEA, Eq. 14 and 17: the mean of the K = 10 largest, over visual tokens, of the largest
cosine with a text token. Legend: P visual tokens, T text tokens, D width.
"""

import numpy as np

K = 10


def token_consistency(visual_PD: np.ndarray, text_TD: np.ndarray, *, k: int = K) -> float | None:
    """The score of one image and its text, in [-1, 1]; of fewer than k visual tokens all count.

    None where one side has no tokens. A zero vector has cosine 0. Raises ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not len(visual_PD) or not len(text_TD):
        return None
    best_P = (unit_rows(visual_PD) @ unit_rows(text_TD).T).max(axis=1)
    return float(np.sort(best_P)[::-1][:k].mean())


def unit_rows(vectors_ND: np.ndarray) -> np.ndarray:
    """The rows at length 1, float64; a zero row stays zero."""
    vectors = np.asarray(vectors_ND, np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
