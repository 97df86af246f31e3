"""Pictures and masks small enough to live inside a page, as data addresses."""

import base64
import io

import numpy as np
from PIL import Image

# Faint enough that the object keeps its own colours.
_INSIDE, _EDGE = 48, 255


def jpeg_uri(picture: Image.Image, *, max_px: int = 640, quality: int = 82) -> str:
    """`picture` as a JPEG, its longer side at most `max_px`; its shape stays."""
    small = picture.convert("RGB")
    small.thumbnail((max_px, max_px), Image.Resampling.LANCZOS)
    return _encode_uri(small, "JPEG", quality=quality)


def mask_uri(mask_HW: np.ndarray, *, max_px: int = 640) -> str:
    """A bool mask (height, width) as a grey PNG: faint inside, white along its edge, else black.

    Axes: H height, W width. The longer side is at most `max_px`.
    """
    small = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    small.thumbnail((max_px, max_px), Image.Resampling.BOX)
    inside_HW = np.asarray(small) >= 128
    grey_HW = np.where(_find_edge(inside_HW), _EDGE, inside_HW * _INSIDE).astype(np.uint8)
    return _encode_uri(Image.fromarray(grey_HW), "PNG", optimize=True)


def _find_edge(inside_HW: np.ndarray) -> np.ndarray:
    """Pixels of the mask with one of their four neighbours outside it."""
    padded = np.pad(inside_HW, 1)
    core = padded[1:-1, 1:-1]
    ring = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return core & ~ring


def _encode_uri(picture: Image.Image, kind: str, **options: int) -> str:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
