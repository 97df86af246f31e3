"""Image captioning: the whole image, then its caption (stage 1 of LLaVA; the baseline of MMCS)."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.geometry import TokenGrid
from diglot.core.objective import Prepared, RecordKind, Reduction, count_learned, token_loss
from diglot.core.segments import Tokens
from diglot.core.types import LossTerms, Sample
from diglot.models.config import Frame
from diglot.models.prompt import caption_of, end_segments, open_segments


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the caption objective."""

    frame: Frame = field(default_factory=Frame)
    """The text around image and caption."""
    reduction: Reduction = "mean"
    """mean over the supervised tokens of the optimizer step, or their sum."""


class CaptionObjective:
    """L = - sum over caption tokens of log p(x_t | V, x_<t)."""

    terms = ("text",)
    reads: frozenset[Reads] = frozenset({"log_probs"})
    takes: frozenset[RecordKind] = frozenset({"caption"})

    def __init__(self, config: Config) -> None:
        self.config, self.reduction = config, config.reduction
        self.weights = {"text": 1.0}

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """[BOS] V newline caption [EOS]. Raises DataError for an empty caption."""
        caption = caption_of(sample, tokenizer)
        sequence = (
            *open_segments(self.config.frame, tokenizer, image=True),
            Tokens(caption.ids, "text"),
            *end_segments(self.config.frame, tokenizer, "text"),
        )
        return Prepared(sequence, counts=count_learned(sequence))

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Summed negative log-likelihood in nats."""
        return token_loss(out, batch)


def build(config: Config) -> CaptionObjective:
    """Called by diglot with the options that recipe and command line gave."""
    return CaptionObjective(config)
