"""Where on an image an attention map lies: mass on an object, and how spread it is.

Legend: P visual tokens; maps are weights >= 0, brought to a sum of 1 over the visual tokens.
"""

import numpy as np


def normalise_map(weight_P: np.ndarray) -> np.ndarray | None:
    """The weights at a sum of 1, float64; None where they are all zero."""
    weight = np.asarray(weight_P, np.float64)
    total = weight.sum()
    return weight / total if total > 0 else None


def mass_inside(weight_P: np.ndarray, cover_P: np.ndarray) -> float | None:
    """The share of the map that lies on an object, in [0, 1]; None for a map of zeros.

    cover_P: the share of each cell that the object covers, in [0, 1]. A map as even as the cells
    gets the mean of cover_P.
    """
    share = normalise_map(weight_P)
    return None if share is None else float(share @ np.asarray(cover_P, np.float64))


def map_entropy(weight_P: np.ndarray) -> float | None:
    """Entropy of the map over visual tokens in nats, in [0, log P]; None for a map of zeros."""
    share = normalise_map(weight_P)
    if share is None:
        return None
    share = share[share > 0]
    return abs(float(-(share * np.log(share)).sum()))
