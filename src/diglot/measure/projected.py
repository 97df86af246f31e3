"""Samples as a VLM projects them: with the geometry and the values of their visual tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from diglot.core.distributed import iterate_over_processes, rank_and_world_size
from diglot.core.geometry import TokenGrid
from diglot.core.types import Region, Sample
from diglot.measure.row_store import Rows, RowStore, read_rows
from diglot.models.vlm import VLM

BATCH_SAMPLES = 16
Views = Callable[[Sample], Sequence[torch.Tensor]]


@dataclass(frozen=True)
class ProjectedSample:
    """A sample with its visual tokens, in memory or in a file: read them once for each use."""

    sample: Sample
    grid: TokenGrid
    tokens: Rows
    features: Rows | None = None  # the encoder's, before the projector; where kept
    finite: bool = True  # all of these; half precision may overflow
    levels: int = 1  # of each token, side by side: of a model with DeepStack several

    @property
    def visual_PD(self) -> torch.Tensor:
        """The P visual tokens, each as wide as the LLM (D), float32."""
        return self.inputs_PD.chunk(self.levels, dim=-1)[0]

    @property
    def inputs_PD(self) -> torch.Tensor:
        """What enters the LLM: the tokens, of a model with DeepStack with what it adds to them."""
        return read_rows(self.tokens)

    @property
    def features_ME(self) -> torch.Tensor | None:
        """The encoder's features, on the CPU; None where they were not kept."""
        return None if self.features is None else read_rows(self.features)


@torch.no_grad()
def project_samples(
    vlm: VLM,
    samples: Sequence[Sample],
    views: Views,
    *,
    views_are: Literal["features", "pixels"] = "features",
    keep_features: int = 0,
    store: RowStore | None = None,
) -> list[ProjectedSample]:
    """Project every sample's views to visual tokens, on the model's device.

    views(sample) gives the views of its image: cached features (h, w, E), or pixels (3, H, W). The
    first `keep_features` samples keep their encoder features too, on the CPU. All stay in memory,
    or with a `store` what it allows: a batch of BATCH_SAMPLES a process at a time.
    """

    def project(start: int) -> list[ProjectedSample]:
        chunk = samples[start : start + BATCH_SAMPLES]
        kept = max(0, min(len(chunk), keep_features - start))
        return _project_chunk(vlm, chunk, views, views_are == "pixels", kept)

    device = vlm.language.input_embeddings.weight.device
    # tensors travel between processes on the CPU
    between = device if rank_and_world_size()[1] == 1 else torch.device("cpu")
    kept: list[ProjectedSample] = []
    with eval_mode(vlm):
        starts = range(0, len(samples), BATCH_SAMPLES)
        for chunk in iterate_over_processes(
            starts, lambda start: _move_samples(project(start), between)
        ):
            kept += [_keep_rows(sample, store) for sample in _move_samples(chunk, device)]
    return kept


def _move_samples(
    samples: Sequence[ProjectedSample], device: torch.device
) -> list[ProjectedSample]:
    return [replace(sample, tokens=sample.inputs_PD.to(device)) for sample in samples]


def _keep_rows(sample: ProjectedSample, store: RowStore | None) -> ProjectedSample:
    """The sample with its rows in the store."""
    if store is None:
        return sample
    features_ME = sample.features_ME
    features = None if features_ME is None else store.keep(features_ME)
    return replace(sample, tokens=store.keep(sample.inputs_PD), features=features)


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
    made = []
    for i, (sample, grid, visual) in enumerate(zip(chunk, grids, split, strict=True)):
        before = _stack_features(own[i], vlm.levels) if i < kept else None
        finite = all(bool(x.isfinite().all()) for x in (visual, before) if x is not None)
        made.append(ProjectedSample(sample, grid, visual, before, finite, vlm.levels))
    return made


def _stack_features(features: Sequence[torch.Tensor], levels: int) -> torch.Tensor:
    """Features (h, w, E) of all views as rows (M, E), on the CPU; of several levels the first."""
    return torch.cat([view.chunk(levels, -1)[0].flatten(0, 1).float().cpu() for view in features])


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
