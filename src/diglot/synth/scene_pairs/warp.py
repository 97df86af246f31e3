"""Placing a picture turned, mirrored and moved, with the exact map from its points to the canvas.

A place on the object is (u, v) in [0, 1] of the picture's width and height, whatever its size, so
two placements of one picture correspond through (u, v) without any rounding.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a picture of size_wh goes: mirrored first, then turned, then its centre moved."""

    size_wh: tuple[int, int]
    center_xy: tuple[float, float]  # px of the canvas
    turn_deg: float = 0.0  # clockwise, as y points down
    mirrored: bool = False  # left and right swapped

    def to_canvas(self, uv_K2: np.ndarray) -> np.ndarray:
        """Canvas px xy of places on the object, float64 (K, 2)."""
        return (uv_K2 - 0.5) * np.array(self.size_wh) @ self._matrix.T + np.array(self.center_xy)

    @property
    def _matrix(self) -> np.ndarray:
        """From picture px around its centre to canvas px around the centre."""
        angle = math.radians(self.turn_deg)
        cos, sin = math.cos(angle), math.sin(angle)
        side = -1.0 if self.mirrored else 1.0
        return np.array([[cos * side, -sin], [sin * side, cos]])


def paste_picture(canvas: Image.Image, picture: Image.Image, placement: Placement) -> np.ndarray:
    """Draw an RGBA picture where `placement` puts it; its opacity on the canvas, uint8 (H, W)."""
    corners = placement.to_canvas(np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]))
    limit = np.array(canvas.size)
    x0, y0 = np.floor(corners.min(0) - 1).clip(0, limit).astype(int).tolist()
    x1, y1 = np.ceil(corners.max(0) + 1).clip(0, limit).astype(int).tolist()
    alpha = np.zeros((canvas.height, canvas.width), np.uint8)
    if x0 < x1 and y0 < y1:  # else it lies wholly beyond the canvas
        layer = _warp_picture(picture, placement, (x0, y0, x1, y1))
        canvas.paste(layer, (x0, y0), mask=layer)
        alpha[y0:y1, x0:x1] = np.asarray(layer.getchannel("A"))
    return alpha


def _warp_picture(
    picture: Image.Image, placement: Placement, window: tuple[int, int, int, int]
) -> Image.Image:
    """The window of the canvas, transparent but for the picture."""
    x0, y0, x1, y1 = window
    back = np.linalg.inv(placement._matrix)
    center = np.array(placement.size_wh) / 2
    offset = center - back @ (np.array(placement.center_xy) - np.array([x0, y0]))
    (a, b), (d, e) = back
    coefficients = (a, b, offset[0], d, e, offset[1])
    # Pillow maps pixel centres by this matrix, and mixes colours weighted by their opacity.
    return picture.transform(
        (x1 - x0, y1 - y0), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
