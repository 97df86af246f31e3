"""What every objective looks like to the training loop."""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import torch

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.errors import DataError
from diglot.core.geometry import TokenGrid
from diglot.core.segments import Segment, Sequence
from diglot.core.types import LossTerms, Sample

if TYPE_CHECKING:  # core loads no model library
    from transformers import PreTrainedTokenizerFast

Reduction = Literal["mean", "sum"]
TermReduction = Literal["mean", "sum", "joint"]  # joint: one mean over all terms' items
RecordKind = Literal["caption", "conversation"]
KINDS: tuple[RecordKind, ...] = get_args(RecordKind)
# Collects an object of every process; of one process alone, a list of its own.
Gather = Callable[[Any], list[Any]]


@dataclass(frozen=True)
class Prepared:
    """What an objective made of one sample."""

    sequence: Sequence | None  # None: this objective supplies no sequence
    targets: Any = None  # handed back to `loss` in Batch.targets
    counts: Mapping[str, float] = field(default_factory=dict)  # items per loss term
    notes: Mapping[str, int] = field(default_factory=dict)  # what was left out, by reason


class Objective(Protocol):
    """A way to train: makes sequences out of samples, and a loss out of what the model returns.

    More members may be there. `takes`, a collection of KINDS, says which records it can use, where
    it is mixed with others; without it, all. `heads`, an nn.Module, is what the objective learns of
    its own: it trains with the model and is no part of the result. `reads_labels` is true of one
    that learns from patch labels. `select(batch, gather) -> Batch` makes the choices that need the
    whole batch in sight; it returns the batch with other targets and counts, and every process
    calls it for every micro-batch.
    """

    terms: tuple[str, ...]  # names of its loss terms
    weights: Mapping[str, float]  # the weight of each term in the objective
    reduction: TermReduction  # of each term, over the supervised items of the optimizer step
    reads: frozenset[Reads]  # what it needs of the model

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: "PreTrainedTokenizerFast",
        rng: torch.Generator,
    ) -> Prepared:
        """What one sample becomes; `grids` has one grid per image of it.

        Raises DataError where the record is wrong, or of a kind that the objective cannot use.
        """
        ...

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Summed loss per term, float32.

        A document whose target is None is not this objective's and adds nothing; the sum stays
        connected to the graph all the same.
        """
        ...


def only_grid(sample: Sample, grids: Seq[TokenGrid]) -> TokenGrid:
    """The grid of the sample's one image. Raises DataError where there is another number."""
    if len(grids) != 1:
        raise DataError(
            "the objective takes records of one image",
            expected="1 image",
            got=len(grids),
            where=f"sample {sample.id!r}, images",
        )
    return grids[0]


def count_learned(sequence: Seq[Segment]) -> dict[str, float]:
    """How many tokens each loss term learns."""
    counts: dict[str, float] = {}
    for segment in sequence:
        learn: Any = getattr(segment, "learn", None)
        if learn is not None:
            counts[learn] = counts.get(learn, 0.0) + len(segment.ids)  # type: ignore[union-attr]
    return counts


def token_loss(out: ForwardOutput, batch: Batch) -> LossTerms:
    """Summed negative log-likelihood per term, in nats."""
    assert out.log_prob_S is not None
    packed = batch.packed
    sums = out.log_prob_S.new_zeros(len(packed.terms))
    sums = sums.index_add(0, packed.term_S, -out.log_prob_S)
    return LossTerms(dict(zip(packed.terms, sums, strict=True)))
