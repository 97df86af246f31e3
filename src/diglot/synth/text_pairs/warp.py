"""Exact warps: waves, then a perspective; points go forward in closed form, pixels backward.

A wave moves x by a sine of y, or y by a sine of x: a shear, undone by taking the same sine away.
Coordinates are px with (0, 0) the top left corner of a picture, so pixel centres lie at halves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import grid_sample

from diglot.core.types import Box, SizeHW

_EDGE_STEPS = 8  # points along each side of a box whose warped extent is sought


@dataclass(frozen=True, kw_only=True)
class Wave:
    """Moves axis `moved` (0: x, 1: y) by amount_px * sin(2 pi other / period_px + phase)."""

    moved: int
    amount_px: float
    period_px: float
    phase: float

    def shift(self, points_N2: np.ndarray) -> np.ndarray:
        """How far each point moves, (N,); the same before and after the move."""
        other_N = points_N2[:, 1 - self.moved]
        return self.amount_px * np.sin(2 * np.pi * other_N / self.period_px + self.phase)


@dataclass(frozen=True, kw_only=True, eq=False)
class Warp:
    """The map from a page to a picture of it."""

    image_hw: SizeHW
    waves: tuple[Wave, ...]
    page_to_image_33: np.ndarray  # a perspective in homogeneous coordinates, after the waves

    def forward(self, points_N2: np.ndarray) -> np.ndarray:
        """Points of the page as points of the picture, float64 (N, 2)."""
        moved_N2 = np.array(points_N2, np.float64)
        for wave in self.waves:
            moved_N2[:, wave.moved] += wave.shift(moved_N2)
        return _project_points(self.page_to_image_33, moved_N2)

    def backward(self, points_N2: np.ndarray) -> np.ndarray:
        """Points of the picture as points of the page, float64 (N, 2)."""
        moved_N2 = _project_points(np.linalg.inv(self.page_to_image_33), points_N2)
        for wave in reversed(self.waves):
            moved_N2[:, wave.moved] -= wave.shift(moved_N2)
        return moved_N2

    def box(self, box: Box) -> Box:
        """The extent in the picture of a box on the page, its curved edges followed."""
        x0, y0, x1, y1 = box
        along = np.linspace(0, 1, _EDGE_STEPS + 1)
        x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
        sides = [(x, np.full_like(x, y0)), (x, np.full_like(x, y1))]
        sides += [(np.full_like(y, x0), y), (np.full_like(y, x1), y)]
        edge_N2 = self.forward(np.concatenate([np.stack(side, 1) for side in sides]))
        return (*edge_N2.min(0).tolist(), *edge_N2.max(0).tolist())

    def picture(self, page: Image.Image, behind: tuple[int, int, int]) -> np.ndarray:
        """The page as the picture shows it, uint8 (H, W, 3), before one colour.

        Each pixel mixes the four pixels of the page around the place that its centre shows.
        """
        height, width = self.image_hw
        y_HW, x_HW = np.mgrid[:height, :width] + 0.5
        at_N2 = self.backward(np.stack([x_HW.ravel(), y_HW.ravel()], 1))
        at_HW2 = (at_N2 * 2 / page.size - 1).reshape(1, height, width, 2)  # -1 and 1: page's edges
        page_4hw = torch.from_numpy(np.array(page.convert("RGBA"))).permute(2, 0, 1).float()
        grid = torch.from_numpy(at_HW2.astype(np.float32))
        shown_4HW = grid_sample(page_4hw[None], grid, align_corners=False)[0]
        missing_1HW = 1 - shown_4HW[3:] / 255  # beyond the page
        mixed_3HW = shown_4HW[:3] + missing_1HW * torch.tensor(behind)[:, None, None]
        return mixed_3HW.add_(0.5).clamp_(0, 255).byte().permute(1, 2, 0).numpy()


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How far warps go: each draws up to these."""

    turn_degrees: float
    corner_share: float  # of the page's sides that a corner moves by
    wave_px: float
    crop_share: float  # of the page's sides that may lie beyond the picture


def draw_warp(page_hw: SizeHW, strength: Strength, rng: Random, *, margin_px: int = 12) -> Warp:
    """A warp of random turn, perspective and waves; the picture is as large as its outcome asks."""
    height, width = page_hw
    waves = tuple(_draw_wave(moved, page_hw, strength, rng) for moved in (0, 1))
    turn = math.radians(rng.uniform(-1, 1) * strength.turn_degrees)
    corners_42 = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    rotation_22 = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moves = [[rng.uniform(-1, 1) * strength.corner_share for _ in "xy"] for _ in range(4)]
    turned_42 = (corners_42 + np.array(moves) * (width, height)) @ rotation_22.T
    cuts = [rng.uniform(-1, 1) * strength.crop_share * side for side in (width, height) * 2]
    margin_4 = margin_px + strength.wave_px - np.clip(cuts, 0, None)
    low_2, high_2 = turned_42.min(0) - margin_4[:2], turned_42.max(0) + margin_4[2:]
    image_wh = np.ceil(high_2 - low_2).astype(int)
    return Warp(
        image_hw=(int(image_wh[1]), int(image_wh[0])),
        waves=waves,
        page_to_image_33=find_homography(corners_42, turned_42 - low_2),
    )


def find_homography(from_42: Sequence | np.ndarray, to_42: Sequence | np.ndarray) -> np.ndarray:
    """The homography, float64 (3, 3) with corner 1, that takes four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(from_42, to_42, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


def _draw_wave(moved: int, page_hw: SizeHW, strength: Strength, rng: Random) -> Wave:
    other_side = page_hw[moved]  # x waves along the height, y along the width
    return Wave(
        moved=moved,
        amount_px=rng.uniform(-1, 1) * strength.wave_px,
        period_px=rng.uniform(0.8, 2.5) * other_side,
        phase=rng.uniform(0, 2 * math.pi),
    )


def _project_points(matrix_33: np.ndarray, points_N2: np.ndarray) -> np.ndarray:
    x_N, y_N = points_N2.T
    u_N, v_N, w_N = (a * x_N + b * y_N + c for a, b, c in matrix_33)
    return np.stack([u_N / w_N, v_N / w_N], 1)
