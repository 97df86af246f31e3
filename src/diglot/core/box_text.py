"""Boxes as models read and write them in text: shares of the image's sides, two decimals."""

from diglot.core.region import Box, SizeHW

UnitBox = tuple[float, float, float, float]
"""xyxy in [0, 1], shares of the image's width and height."""


def unit_box(box: Box, size_hw: SizeHW) -> UnitBox:
    """The box (xyxy, px) in shares of the image's width and height, cut to [0, 1]."""
    height, width = size_hw
    x0, y0, x1, y1 = (
        min(1.0, max(0.0, v / side)) for v, side in zip(box, (width, height) * 2, strict=True)
    )
    return x0, y0, x1, y1


def write_box(box: UnitBox) -> str:
    """A box in shares as text, as LLaVA writes it: "[0.12, 0.30, 0.55, 0.71]"."""
    return "[" + ", ".join(f"{value:.2f}" for value in box) + "]"
