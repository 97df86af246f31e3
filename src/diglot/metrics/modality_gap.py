"""Modality gap D: how far visual tokens lie from the nearest word.

Source: SEA, Eq. 5: the mean over visual tokens of the smallest Euclidean distance to Psi(w), the
mean of a word's sub-token embeddings. Legend: P visual tokens, W words, D width.
"""

import numpy as np


def nearest_distance(visual_PD: np.ndarray, word_WD: np.ndarray) -> np.ndarray:
    """Distance of each visual token to the nearest word, float64 (P,), >= 0.

    In units of the embeddings. Raises ValueError without words.
    """
    if not len(word_WD):
        raise ValueError("no words to be near to")
    visual, word = (np.asarray(x, np.float64) for x in (visual_PD, word_WD))
    # |x - w|^2 = |x|^2 + |w|^2 - 2 x.w: one product for all pairs chooses the word
    score_PW = visual @ word.T - 0.5 * np.square(word).sum(axis=1)
    # the distance itself is taken from the difference, where nothing cancels
    return np.linalg.norm(visual - word[score_PW.argmax(axis=1)], axis=1)
