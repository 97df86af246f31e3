"""What one encoder makes of a pair: for each source point, where the target is most like it.

Source: "Law of Vision Representation in MLLMs", Fig. 6 to 8: source point, similarity over the
target, predicted and true point. Geometry `letterbox`, so predictions are those of the C score.
Legend: K points, P cells of the target, E channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.geometry import View
from diglot.core.types import Box
from diglot.data.pairs import Pair
from diglot.measure.correspondence.config import MatchConfig
from diglot.measure.correspondence.maps import cell_coordinates, cell_places, read_at
from diglot.measure.correspondence.upsampling import enlarged_cosines


@dataclass(frozen=True, kw_only=True)
class FoundPoint:
    """A source point in the target, by one encoder."""

    point: int  # its index in the pair
    boxes: tuple[Box, ...]  # the P places of the target that are searched, px of its picture
    cosine_P: np.ndarray  # of each with the source point, in [-1, 1]
    predicted: tuple[float, float]  # xy px: the place of the largest
    error: float  # of it, as a share of the target box's longer side


def find_points(
    pair: Pair,
    maps: tuple[torch.Tensor, torch.Tensor],
    views: tuple[View, View],
    points: Sequence[int],
    config: MatchConfig,
) -> list[FoundPoint]:
    """The chosen points; `maps` (h, w, E) and `views` are those of source and target."""
    source_hwE, target_hwE = maps
    at_K2 = cell_coordinates(pair.source.points_K2[list(points)], views[0], pair.source.size_hw)
    source_1KE = read_at(source_hwE[None], torch.from_numpy(at_K2)[None], config.read)
    cosine_KHW = enlarged_cosines(source_1KE, target_hwE[None], config.upsample)[0].numpy()
    fine = cell_places(views[1], pair.target.size_hw, upsample=config.upsample)
    inside_HW = fine.inside_H[:, None] & fine.inside_W[None]
    y_P, x_P = (axis[inside_HW] for axis in np.meshgrid(fine.y_H, fine.x_W, indexing="ij"))
    boxes = _place_boxes(pair, views[1], config.upsample, inside_HW)
    found = []
    for point, cosine_HW in zip(points, cosine_KHW, strict=True):
        cosine_P = cosine_HW[inside_HW]
        best = int(cosine_P.argmax())
        predicted = float(x_P[best]), float(y_P[best])
        error = float(np.linalg.norm(np.array(predicted) - pair.target.points_K2[point]))
        found.append(
            FoundPoint(
                point=point,
                boxes=boxes,
                cosine_P=cosine_P,
                predicted=predicted,
                error=error / pair.box_side,
            )
        )
    return found


def _place_boxes(pair: Pair, view: View, upsample: int, inside_HW: np.ndarray) -> tuple[Box, ...]:
    """xyxy px of every place inside, row by row; one on the picture's edge is cut there."""
    edges = []
    for coarse, size in zip(view.edges(pair.target.size_hw), pair.target.size_hw, strict=True):
        cells = (len(coarse) - 1) * upsample + 1
        edges.append(np.linspace(coarse[0], coarse[-1], cells).clip(0, size))
    y, x = edges
    return tuple(
        (float(x[column]), float(y[row]), float(x[column + 1]), float(y[row + 1]))
        for row, column in np.argwhere(inside_HW)
    )
