"""What goes into the model at once, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import torch

from diglot.core.geometry import TokenGrid
from diglot.core.layout import Packed

Reads = Literal["visual", "words", "log_probs", "last", "unnormed", "hidden"]
# What only a pass through the LLM gives.
LLM_READS: frozenset[Reads] = frozenset({"log_probs", "last", "unnormed", "hidden"})


@dataclass(frozen=True)
class Batch:
    """Packed documents with the views of their images, as pixels or as cached features."""

    packed: Packed
    views: tuple[torch.Tensor, ...]  # all views of all images: (3, H, W) pixels or (h, w, E)
    views_are: Literal["pixels", "features"]
    grids: tuple[tuple[TokenGrid, ...], ...]  # of each document's images, in order
    ids: tuple[str, ...]  # sample id of each document
    targets: tuple[Any, ...]  # what the objective prepared for each document; None = nothing
    counts: Mapping[str, float]  # how many items each loss term is a mean over, in this batch

    @property
    def visual_counts(self) -> tuple[int, ...]:
        """How many visual tokens the images of each document bring."""
        return tuple(sum(map(len, grids)) for grids in self.grids)

    @property
    def visual_start(self) -> tuple[int, ...]:
        """Where each document's visual tokens begin among those of all images, stacked."""
        return tuple(accumulate(self.visual_counts, initial=0))[:-1]

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`."""
        views = tuple(view.to(device) for view in self.views)
        return replace(self, packed=self.packed.to(device), views=views)


@dataclass(frozen=True)
class ForwardOutput:
    """What the model computed: only the parts that were asked for, else None."""

    visual_ND: torch.Tensor | None = None  # projected visual tokens of all images, stacked
    log_prob_S: torch.Tensor | None = None  # float32, log p(target | query) in nats
    hidden: tuple[torch.Tensor, ...] | None = None  # (B, T, D): embeddings, then every layer
    last_BTD: torch.Tensor | None = None  # hidden states after the final norm
    unnormed_BTD: torch.Tensor | None = None  # hidden states before the final norm
    words_VD: torch.Tensor | None = None  # the LLM's input embeddings' weights, no copy
