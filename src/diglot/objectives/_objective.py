"""What every objective looks like to the training loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.geometry import TokenGrid
from diglot.core.types import LossTerms, Sample, Sequence

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class Prepared:
    """What an objective made of one sample."""

    sequence: Sequence | None  # None: this objective supplies no sequence
    targets: Any = None  # handed back to `loss` in Batch.targets
    counts: Mapping[str, float] = field(default_factory=dict)  # items per loss term
    notes: Mapping[str, int] = field(default_factory=dict)  # what was left out, by reason


class Objective(Protocol):
    """A way to train: makes sequences out of samples, and a loss out of what the model returns."""

    terms: tuple[str, ...]  # names of its loss terms
    weights: Mapping[str, float]  # the weight of each term in the loss
    reduction: Reduction  # of each term, over the supervised items of the optimizer step
    reads: frozenset[Reads]  # what it needs of the model

    def prepare(
        self,
        sample: Sample,
        grid: TokenGrid,
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """Lay one sample out. Raises DataError where it has nothing to learn."""
        ...

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Summed losses and counts per term, float32."""
        ...
