"""What caption-like objectives share: counting the learned tokens, and the text loss."""

from collections.abc import Sequence as Seq
from typing import Any

from diglot.core.batch import Batch, ForwardOutput
from diglot.core.types import LossTerms, Segment


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
