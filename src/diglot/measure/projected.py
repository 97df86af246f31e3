"""Samples as a VLM projects them: with the geometry and the values of their visual tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from diglot.core.geometry import TokenGrid
from diglot.core.types import Region, Sample
from diglot.models.vlm import VLM

BATCH_SAMPLES = 16
Views = Callable[[Sample], Sequence[torch.Tensor]]


@dataclass(frozen=True)
class ProjectedSample:
    """A sample with its visual tokens: P of them, each as wide as the LLM (D), float32."""

    sample: Sample
    grid: TokenGrid
    visual_PD: torch.Tensor


@torch.no_grad()
def project_samples(
    vlm: VLM,
    samples: Sequence[Sample],
    views: Views,
    *,
    views_are: Literal["features", "pixels"] = "features",
) -> list[ProjectedSample]:
    """Project every sample's views to visual tokens, on the model's device.

    views(sample) gives the views of its image: cached features (h, w, E), or pixels (3, H, W).
    """
    device = vlm.language.words.weight.device
    projected: list[ProjectedSample] = []
    with eval_mode(vlm):
        for start in range(0, len(samples), BATCH_SAMPLES):
            chunk = samples[start : start + BATCH_SAMPLES]
            flat = [view.to(device) for sample in chunk for view in views(sample)]
            visual = vlm.project(vlm.features(flat) if views_are == "pixels" else flat)
            grids = [vlm.token_grid(sample.size_hw) for sample in chunk]
            split = visual.split([len(grid) for grid in grids])
            projected += [
                ProjectedSample(*parts) for parts in zip(chunk, grids, split, strict=True)
            ]
    return projected


@contextmanager
def eval_mode(vlm: VLM) -> Iterator[None]:
    """All parts in eval mode (no dropout), and afterwards each module as it was."""
    was_training = [module for module in vlm.modules() if module.training]
    vlm.eval()
    try:
        yield
    finally:
        for module in was_training:
            module.training = True


def object_tokens(grid: TokenGrid, region: Region) -> tuple[int, ...]:
    """The visual tokens that the region's box overlaps (MMCS Eq. 1), in the grid's order."""
    return tuple(np.flatnonzero(grid.overlapping(region.box)).tolist())
