"""Samples as a VLM projects them: with the geometry and the values of their visual tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from diglot.core.distributed import map_over_processes, rank_and_world_size
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
    features_ME: torch.Tensor | None = None  # the encoder's, before the projector; where kept


@torch.no_grad()
def project_samples(
    vlm: VLM,
    samples: Sequence[Sample],
    views: Views,
    *,
    views_are: Literal["features", "pixels"] = "features",
    keep_features: int = 0,
) -> list[ProjectedSample]:
    """Project every sample's views to visual tokens, on the model's device.

    views(sample) gives the views of its image: cached features (h, w, E), or pixels (3, H, W). The
    first `keep_features` samples keep their encoder features too, on the CPU.
    """

    def project(start: int) -> list[ProjectedSample]:
        chunk = samples[start : start + BATCH_SAMPLES]
        kept = max(0, min(len(chunk), keep_features - start))
        return _project_chunk(vlm, chunk, views, views_are == "pixels", kept)

    device = vlm.language.input_embeddings.weight.device
    # tensors travel between processes on the CPU
    between = device if rank_and_world_size()[1] == 1 else torch.device("cpu")
    with eval_mode(vlm):
        chunks = map_over_processes(
            range(0, len(samples), BATCH_SAMPLES), lambda start: _move(project(start), between)
        )
    return _move([projected for chunk in chunks for projected in chunk], device)


def _move(samples: Sequence[ProjectedSample], device: torch.device) -> list[ProjectedSample]:
    return [replace(sample, visual_PD=sample.visual_PD.to(device)) for sample in samples]


def _project_chunk(
    vlm: VLM, chunk: Sequence[Sample], views: Views, are_pixels: bool, kept: int
) -> list[ProjectedSample]:
    device = vlm.language.input_embeddings.weight.device
    by_sample = [[view.to(device) for view in views(sample)] for sample in chunk]
    flat = [view for of_sample in by_sample for view in of_sample]
    features = vlm.features(flat) if are_pixels else flat
    grids = [vlm.token_grid(sample.size_hw) for sample in chunk]
    # the tokens of all images come stacked: cut them apart by the length of each grid
    split = vlm.project(features).split([len(grid) for grid in grids])
    rest = iter(features)
    own = [[next(rest) for _ in of_sample] for of_sample in by_sample]
    return [
        ProjectedSample(sample, grid, visual, _stack_features(own[i]) if i < kept else None)
        for i, (sample, grid, visual) in enumerate(zip(chunk, grids, split, strict=True))
    ]


def _stack_features(features: Sequence[torch.Tensor]) -> torch.Tensor:
    """Features (h, w, E) of all views as rows (M, E), on the CPU."""
    return torch.cat([view.flatten(0, 1).float().cpu() for view in features])


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
