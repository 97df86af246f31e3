"""From samples to a Batch: encode, pack, and bring the pixels or cached features along."""

from collections import Counter
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import torch

from diglot.core.batch import Batch
from diglot.core.geometry import TokenGrid
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.segments import Encoded, Sequence


@dataclass(frozen=True)
class EncodedSample:
    """One sample ready to be packed: its document, its views, and what its objective prepared."""

    id: str
    encoded: Encoded
    grids: tuple[TokenGrid, ...]  # one per image
    views: tuple[torch.Tensor, ...]  # of all images: (3, H, W) pixels, or (h, w, E) features
    views_are: str
    targets: object
    counts: dict[str, float]
    notes: dict[str, int]


def encode_sample(
    sample_id: str,
    sequence: Sequence | None,
    grids: Seq[TokenGrid],
    views: Seq[torch.Tensor],
    *,
    views_are: str,
    terms: tuple[str, ...],
    targets: object = None,
    counts: dict[str, float] | None = None,
    notes: dict[str, int] | None = None,
) -> EncodedSample:
    """A sequence as a document, beside its views. Without a sequence the document is empty."""
    sequence = expand_lines(sequence or (), grids)
    encoded = encode(sequence, visual_counts=[len(grid) for grid in grids], terms=terms)
    views, grids = tuple(views), tuple(grids)
    return EncodedSample(
        sample_id, encoded, grids, views, views_are, targets, counts or {}, notes or {}
    )


def collate_batch(samples: Seq[EncodedSample], *, row_tokens: int) -> Batch:
    """Pack samples, each with its own images, into one Batch."""
    counts: Counter[str] = Counter()
    for sample in samples:
        counts.update(sample.counts)
    return Batch(
        packed=pack([s.encoded for s in samples], row_tokens=row_tokens),
        views=tuple(view for s in samples for view in s.views),
        views_are=samples[0].views_are,  # type: ignore[arg-type]
        grids=tuple(s.grids for s in samples),
        ids=tuple(s.id for s in samples),
        targets=tuple(s.targets for s in samples),
        counts=dict(counts),
    )
