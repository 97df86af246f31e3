"""Patch-aligned by the letter: loops over objects, tokens and pixels, cells in exact fractions."""

from fractions import Fraction

import numpy as np
import torch
from pycocotools import mask as coco

from diglot.core.geometry import View
from diglot.core.types import Region, Sample


def naive_patch_loss(
    sample: Sample,
    views: tuple[View, ...],
    visual_PD: torch.Tensor,
    words_VD: torch.Tensor,
    tokenizer,
    *,
    min_cover: Fraction = Fraction(1, 2),
    boxes: bool = True,
) -> tuple[torch.Tensor, int]:
    """Sum over the objects of 1 - COS(v, t) (Eq. 5), and P; objects without a token left out."""
    total, objects = visual_PD.sum() * 0, 0
    for region in sample.regions:
        if region.mask is None and not boxes:
            continue
        tokens = [
            index
            for index, cell in enumerate(cells(views, sample.size_hw))
            if covered(cell, region, sample.size_hw) >= min_cover * area(cell)
        ]
        if not tokens:
            continue
        v = sum(visual_PD[i] for i in tokens) / len(tokens)
        ids = sub_tokens(region.label or region.phrase, tokenizer)
        t = sum(words_VD[k] for k in ids) / len(ids)
        total = total + 1 - (v @ t) / (torch.sqrt(v @ v) * torch.sqrt(t @ t))
        objects += 1
    return total, objects


def sub_tokens(name: str, tokenizer) -> list[int]:
    """phi(L) of Eq. 2, behind a space; the space itself, if it is a token, says nothing."""
    ids = tokenizer(f" {name}", add_special_tokens=False)["input_ids"]
    return ids[1:] if tokenizer.decode(ids[:1]) == " " else ids


def cells(views: tuple[View, ...], size_hw: tuple[int, int]):
    """x0, y0, x1, y1 of every token's cell on the original image, as fractions of a pixel."""
    for view in views:
        left, top, end_x, end_y = view.canvas or (0, 0, size_hw[1], size_hw[0])
        y_scale = Fraction(end_y - top, view.resize_hw[0])
        x_scale = Fraction(end_x - left, view.resize_hw[1])
        for row in range(view.grid_hw[0]):
            for column in range(view.grid_hw[1]):
                x, y = view.window[0] + column * view.cell_px, view.window[1] + row * view.cell_px
                x1, y1 = x + view.cell_px, y + view.cell_px
                yield (
                    left + x * x_scale,
                    top + y * y_scale,
                    left + x1 * x_scale,
                    top + y1 * y_scale,
                )


def area(cell) -> Fraction:
    return (cell[2] - cell[0]) * (cell[3] - cell[1])


def overlap(cell, box) -> Fraction:
    width = min(cell[2], box[2]) - max(cell[0], box[0])
    height = min(cell[3], box[3]) - max(cell[1], box[1])
    return max(width, Fraction(0)) * max(height, Fraction(0))


def covered(cell, region: Region, size_hw: tuple[int, int]) -> Fraction:
    """The area of the cell under the region's mask, pixel by pixel, or under its box."""
    height, width = size_hw
    if region.mask is None:
        x0, y0, x1, y1 = (Fraction(side) for side in region.box)
        inside = (max(x0, Fraction(0)), max(y0, Fraction(0)), min(x1, width), min(y1, height))
        return overlap(cell, inside)
    mask = coco.decode({"size": [height, width], "counts": region.mask.counts.encode()})
    return sum(
        (overlap(cell, (x, y, x + 1, y + 1)) for y, x in near(cell, mask)),
        start=Fraction(0),
    )


def near(cell, mask: np.ndarray):
    """The set pixels in and around a cell, so that the loop ends in time."""
    height, width = mask.shape
    for y in range(max(0, int(cell[1]) - 1), min(height, int(cell[3]) + 2)):
        for x in range(max(0, int(cell[0]) - 1), min(width, int(cell[2]) + 2)):
            if mask[y, x]:
                yield y, x
