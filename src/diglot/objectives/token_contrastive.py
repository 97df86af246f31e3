"""SEA's token-level contrast: every visual token near the word that labels it (SEA Eq. 9-11).

The labels are those of `diglot label`. The paper's batch is read as the micro-batch: contrast and
the choice of one pair per label are made within it, and `negatives` says whether the other
processes' pairs count. The paper calls its temperature learnable and sets it to 0: read as the
logarithm of the scale, exp(0) = 1. Two labels of the same tokens are one label.
"""

import math
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.contrastive import gathered_info_nce, info_nce
from diglot.core.distributed import rank_and_world_size
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid
from diglot.core.objective import Gather, Prepared, Reduction, only_grid
from diglot.core.patch_labels import labels_on
from diglot.core.types import LossTerms, Sample
from diglot.models.words import label_ids, label_means
from diglot.objectives._patch_sampling import draw_pairs


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of SEA's contrastive loss; its lambda is the objective's weight."""

    labels_kept: int = 10
    """n: so many of a visual token's labels, the best, may be drawn."""
    window: int = 2
    """k: one visual token is drawn in every k x k window of a view's grid."""
    negatives: Literal["process", "gathered"] = "process"
    """The pairs that a pair is held against: of its own process, or gathered from all."""
    logit_scale_init: float = 0.0
    """Logarithm of what the cosines are multiplied by, at the start."""
    learn_scale: bool = True
    """Does the scale learn?"""
    max_logit_scale: float = 100.0
    """The scale (not its logarithm) stays at or below it."""
    leading_space: bool = True
    """Are labels tokenised as they stand behind another word?"""
    reduction: Reduction = "mean"
    """mean over the pairs of the optimizer step, or their sum."""

    def __post_init__(self) -> None:
        for name in ("labels_kept", "window"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", got=getattr(self, name), where=name)
        if self.max_logit_scale <= 0:
            raise ConfigError("must be above 0", got=self.max_logit_scale, where="max_logit_scale")
        if self.logit_scale_init > math.log(self.max_logit_scale):
            raise ConfigError(
                "the scale starts above its maximum",
                expected=f"at most log(max_logit_scale) = {math.log(self.max_logit_scale):.4g}",
                got=self.logit_scale_init,
                where="logit_scale_init",
            )


@dataclass(frozen=True)
class LabelledToken:
    """A visual token and its label: one row and one column of the contrast."""

    visual: int  # index among the image's visual tokens
    label: str
    ids: tuple[int, ...]  # the label's tokens
    key: int  # random: of the pairs that share a label, the one with the lowest key stays


class LogitScale(nn.Module):
    """The learnable scale of the cosines, kept as its logarithm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.max_log = math.log(config.max_logit_scale)
        start = torch.tensor([config.logit_scale_init])  # one axis: FSDP2 shards no scalars
        self.log_scale = nn.Parameter(start, requires_grad=config.learn_scale)

    def forward(self) -> torch.Tensor:
        """log_scale (1,), first brought back below the maximum, as CLIP does after each step."""
        with torch.no_grad():
            self.log_scale.clamp_(max=self.max_log)
        return self.log_scale


class TokenContrastiveObjective:
    """L_a: symmetric InfoNCE over the (visual token, label) pairs of a batch (Eq. 11)."""

    terms = ("contrast",)
    reads_labels = True
    reads: frozenset[Reads] = frozenset({"visual", "words"})

    def __init__(self, config: Config) -> None:
        self.config, self.reduction = config, config.reduction
        self.weights = {"contrast": 1.0}
        self.heads = LogitScale(config)

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """One labelled visual token per window (Eq. 9). Raises ConfigError without patch labels."""
        if sample.patch_labels is None:
            raise ConfigError(
                "token_contrastive learns from labels of patches, and none are given",
                where="labels",
                fix="Make them with `diglot label` and give their folder as `labels`.",
            )
        grid = only_grid(sample, grids)
        labels_P = labels_on(grid, sample.patch_labels, keep=self.config.labels_kept)
        drawn = draw_pairs(labels_P, grid, window=self.config.window, rng=rng)
        space = self.config.leading_space
        pairs = [
            LabelledToken(
                d.visual, d.label, label_ids(d.label, tokenizer, leading_space=space), d.key
            )
            for d in drawn
        ]
        worded = tuple(pair for pair in pairs if pair.ids)
        notes = {
            "image without a patch label": int(not drawn),
            "label without tokens": len(pairs) - len(worded),
        }
        return Prepared(None, targets=worded, counts={"contrast": len(worded)}, notes=notes)

    def select(self, batch: Batch, gather: Gather) -> Batch:
        """Of the pairs that share a label the one with the lowest key, over what is contrasted."""
        gathered = self.config.negatives == "gathered"
        own = [(pair.ids, pair.key) for pairs in batch.targets for pair in pairs or ()]
        everyone = gather(own) if gathered else [own]
        keep = kept_pairs(everyone, rank_and_world_size()[0] if gathered else 0)
        numbers = iter(range(len(own)))
        targets = tuple(
            pairs and tuple(pair for pair in pairs if next(numbers) in keep)
            for pairs in batch.targets
        )
        return replace(batch, targets=targets, counts={"contrast": len(keep)})

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """The InfoNCE summed over this process's pairs, in nats; the scale is logged."""
        assert out.visual_ND is not None
        assert out.words_VD is not None
        chosen = [
            (start + pair.visual, pair.ids)
            for start, pairs in zip(batch.visual_start, batch.targets, strict=True)
            for pair in pairs or ()
        ]
        t_ND = label_means(out.words_VD, [ids for _, ids in chosen])
        x_ND = out.visual_ND[[index for index, _ in chosen]].to(t_ND.dtype)
        log_scale = self.heads()
        if self.config.negatives == "gathered":
            total = gathered_info_nce(x_ND, t_ND, log_scale)
        else:
            total = info_nce(x_ND, t_ND, log_scale).sum()
        return LossTerms({"contrast": total}, {"logit_scale": log_scale.exp().item()})


def kept_pairs(everyone: Iterable[list[tuple[tuple[int, ...], int]]], process: int) -> set[int]:
    """Which of a process's (label tokens, key) stay: of each label the lowest key, once."""
    lowest: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for at, pairs in enumerate(everyone):
        for number, (ids, key) in enumerate(pairs):
            lowest[ids] = min(lowest.get(ids, (key, at, number)), (key, at, number))
    return {number for _, at, number in lowest.values() if at == process}


def build(config: Config) -> TokenContrastiveObjective:
    """Called by diglot with the options that recipe and command line gave."""
    return TokenContrastiveObjective(config)
