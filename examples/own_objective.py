"""An objective of your own: visual tokens at the scale of word embeddings.

Copy it, change `prepare` and `loss`, and name it by its dotted path, run from the folder above:

    diglot train ... --plus.loudness.name examples.own_objective --plus.loudness.weight 0.1
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from diglot.core.batch import Batch, ForwardOutput
from diglot.core.geometry import TokenGrid
from diglot.core.objective import Prepared
from diglot.core.types import LossTerms, Sample


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its options: --plus.loudness.ratio 0.5"""

    ratio: float = 1.0  # wanted root mean square of a visual token, over that of the words


class Loudness:
    """Mean over visual tokens of (rms(v) / (ratio * rms(words)) - 1)^2."""

    terms = ("loudness",)  # logged as loss/loudness
    weights = {"loudness": 1.0}  # noqa: RUF012
    reduction = "mean"  # over what `prepare` counts, in the whole optimizer step
    reads = frozenset({"visual", "words"})  # without "log_probs" it costs no pass through the LLM

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, sample: Sample, grids: Sequence[TokenGrid], tokenizer, rng) -> Prepared:
        """Of one sample: no sequence, since this is added to another objective; what to count."""
        return Prepared(None, targets=True, counts={"loudness": sum(map(len, grids))})

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """The SUM over this objective's documents: those whose target is not None."""
        assert out.visual_ND is not None  # both are there: they stand in `reads`
        assert out.words_VD is not None
        own = torch.tensor([target is not None for target in batch.targets])
        own_N = own.repeat_interleave(torch.tensor(batch.visual_counts))
        wanted = self.config.ratio * rms(out.words_VD.detach()).square().mean().sqrt()
        rms_N = rms(out.visual_ND[own_N.to(out.visual_ND.device)])
        return LossTerms({"loudness": (rms_N / wanted - 1).square().sum()})


def rms(values: torch.Tensor) -> torch.Tensor:
    """Of each row, float32: by the norm, whose gradient is 0 at 0, where a square root's is NaN."""
    return torch.linalg.vector_norm(values.float(), dim=-1) / values.shape[-1] ** 0.5


def build(config: Config) -> Loudness:
    """What diglot calls."""
    return Loudness(config)
