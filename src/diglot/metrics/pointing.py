"""Pointing: does the token that answers most to a word lie on the object?

Source: the pointing game of Zhang et al. 2016 (arXiv 1608.00507), on a grid of visual tokens: a
token points at the centre of its cell. Legend: P visual tokens.
"""

import numpy as np


def centres_inside(cells_P4: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """Which cells' centres lie on the mask, bool (P,); centres beyond the image do not.

    cells_P4: xyxy in pixels of the mask.
    """
    x = np.floor((cells_P4[:, 0] + cells_P4[:, 2]) / 2).astype(np.int64)
    y = np.floor((cells_P4[:, 1] + cells_P4[:, 3]) / 2).astype(np.int64)
    height, width = mask_HW.shape
    on_image = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside = np.zeros(len(cells_P4), dtype=bool)
    inside[on_image] = mask_HW[y[on_image], x[on_image]]
    return inside
