"""VDEP's image mode: hidden states at the visual tokens recover those tokens (Eq. 6, 10).

L_i = || X - X^h ||^2, where X are the projected visual tokens that enter the LLM and X^h its hidden
states at the same positions. The text mode is `caption`; both are mixed evenly in every batch:

    objective: caption
    mix: {reconstruction: {share: 1.0, weight: 0.001}}     # r and alpha of the paper

The paper's <image> and <auto_image> are placeholders that give way to the visual tokens and choose
the mode: the LLM reads neither, and here `mix` chooses. A mark that it does read can stand before
the image by `frame.before`. Nothing after the image can reach its hidden states, since the trunk is
causal; so there is nothing after it, unless the caption is to be learned as well (`with_text`).

What the paper leaves open is an option of `Config`.
- Is X a fixed target? Detached (the default), X cannot be shrunk to lower the loss; but hidden
  states after the final norm have the length that it gives them, and nothing pulls X back to it: in
  image mode alone X grows without end, and only the text mode holds it. Not detached, X ends at
  that length. The mean lengths of X and X^h are logged.
- Mean or sum? Means keep alpha's meaning the same for every image size and LLM width. Eq. 6 as it
  is written is `reduction: sum, channels: sum`, larger by tokens times channels.
Of the losses of Tables 8 to 10, 1/L2 is lowest where L2 is largest: as the paper writes it, it
drives X^h away from X. And sigmoid(L2) learns from means alone: a sum is soon above 17, from where
on the sigmoid is 1 in float32 and its gradient 0.
"""

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Literal

import torch
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid
from diglot.core.objective import (
    KINDS,
    Prepared,
    RecordKind,
    Reduction,
    count_learned,
    only_grid,
    token_loss,
)
from diglot.core.segments import Segment, Tokens
from diglot.core.types import LossTerms, Sample
from diglot.models.config import Frame
from diglot.models.prompt import caption_of, end_segments, open_segments

HIDDEN: dict[str, Reads] = {"normed": "last", "unnormed": "unnormed"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of VDEP's image mode."""

    loss: Literal["l2", "inverse_l2", "sigmoid_l2"] = "l2"
    """l2 = the squared distance itself; the others = 1/L2 and sigmoid(L2) of each image's distance,
    as mean over images (Tables 8 to 10)."""
    target_shift: Literal[0, 1] = 0
    """Which visual token the hidden state at a position recovers: 0 = the one that enters there
    (Eq. 6); 1 = the next one, so that the last hidden state has none."""
    hidden: Literal["normed", "unnormed"] = "normed"
    """Hidden states after the LLM's final norm, or before it."""
    detach_target: bool = True
    """Is X a fixed target? False lets the gradient flow into it too."""
    reduction: Reduction = "mean"
    """Over the tokens of an image; images then enter as a mean. With l2 the mean is over the tokens
    of all images at once, so that every token counts alike, whatever the size of its image."""
    channels: Reduction = "mean"
    """Over the channels of a token."""
    eps: float = 1e-6
    """Added to L2 in 1/L2, which else has no bound."""
    image_weight: float = 1.0
    """Of L_i within this objective: alpha, where `with_text` is to keep its full weight."""
    with_text: bool = False
    """Is the caption learned from these samples too, as the term image_text?"""
    frame: Frame = field(default_factory=Frame)
    """The text around the image, and the caption's where it is learned."""

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise ConfigError("must be above 0", got=self.eps, where="eps")
        if not self.image_weight >= 0:
            raise ConfigError("must be 0 or more", got=self.image_weight, where="image_weight")


class ReconstructionObjective:
    """L = image_weight * L_i, plus the caption's loss if it is asked for."""

    # of both terms; a `sum` over an image's tokens is part of its loss, and images are averaged
    reduction: Reduction = "mean"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.terms = ("image", "image_text") if config.with_text else ("image",)
        self.weights = {"image": config.image_weight, "image_text": 1.0}
        self.takes: tuple[RecordKind, ...] = ("caption",) if config.with_text else KINDS
        text: set[Reads] = {"log_probs"} if config.with_text else set()
        self.reads: frozenset[Reads] = frozenset({"visual", HIDDEN[config.hidden], *text})

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """[BOS] before V; with text, after caption [EOS] too.

        Its target is how many visual tokens have one. Raises DataError for an empty caption where
        it is to be learned, ConfigError for tokens that are not all read.
        """
        config, grid = self.config, only_grid(sample, grids)
        if grid.lines:
            raise ConfigError(
                "reconstruction needs every visual token to be read, and anyres leaves out padding",
                where="preprocess.mode",
            )
        sequence: list[Segment] = open_segments(config.frame, tokenizer, image=True)
        if config.with_text:
            caption = Tokens(caption_of(sample, tokenizer).ids, "image_text")
            sequence += [caption, *end_segments(config.frame, tokenizer, "image_text")]
        else:
            sequence = sequence[:2]  # the frame's `after` would be read by nothing
        tokens = len(grid) - config.target_shift
        items = tokens if self._per_token else min(tokens, 1)
        counts = {"image": float(items), **count_learned(sequence)}
        return Prepared(tuple(sequence), targets=tokens, counts=counts)

    @property
    def _per_token(self) -> bool:
        return self.config.loss == "l2" and self.config.reduction == "mean"

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Summed losses, float32 (float64 stays); logs the mean norms of X and X^h.

        The items of "image" are tokens for the mean L2, else images; of "image_text", tokens.
        """
        hidden_BTD = out.last_BTD if self.config.hidden == "normed" else out.unnormed_BTD
        assert out.visual_ND is not None
        assert hidden_BTD is not None
        token_S, count_I = targeted_tokens(batch, out.visual_ND.device)
        position_S = token_positions(batch.packed.visual_BT, len(out.visual_ND))[token_S]
        x_SD = _as_single(out.visual_ND[token_S + self.config.target_shift])
        hidden_SD = _as_single(hidden_BTD.flatten(0, 1)[position_S])
        target_SD = x_SD.detach() if self.config.detach_target else x_SD
        sums = {"image": self._image_sum(target_SD - hidden_SD, count_I)}
        if self.config.with_text:
            sums["image_text"] = token_loss(out, batch).sums["image_text"]
        return LossTerms(sums, _mean_norms(visual_norm=x_SD, hidden_norm=hidden_SD))

    def _image_sum(self, gap_SD: torch.Tensor, count_I: torch.Tensor) -> torch.Tensor:
        """The loss of `gap_SD`, the tokens of image after image, summed over its items."""
        config = self.config
        squared_SD = gap_SD.square()
        l2_S = squared_SD.mean(-1) if config.channels == "mean" else squared_SD.sum(-1)
        if config.loss == "l2":
            return l2_S.sum()
        image_S = torch.arange(len(count_I), device=l2_S.device).repeat_interleave(count_I)
        l2_I = l2_S.new_zeros(len(count_I)).index_add(0, image_S, l2_S)
        if config.reduction == "mean":
            l2_I = l2_I / count_I
        loss_I = 1 / (l2_I + config.eps) if config.loss == "inverse_l2" else l2_I.sigmoid()
        return loss_I.sum()


def targeted_tokens(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The visual tokens whose hidden state has a target, (S,), and how many each image has, (I,).

    int64; tokens index the batch's visual tokens. Documents without targets have none.
    """
    counts = [tokens or 0 for tokens in batch.targets]
    ranges = [torch.arange(s, s + n) for s, n in zip(batch.visual_start, counts, strict=True)]
    count_I = torch.tensor([n for n in counts if n], dtype=torch.int64)
    return torch.cat(ranges).to(device), count_I.to(device)


def token_positions(visual_BT: torch.Tensor, count: int) -> torch.Tensor:
    """Where each of `count` visual tokens stands among the flattened (B * T) positions, int64 (N,).

    -1 for a token that stands nowhere; one of the places for a token that stands in several.
    """
    visual_P = visual_BT.flatten()
    place_P = (visual_P >= 0).nonzero().squeeze(-1)
    return visual_P.new_full((count,), -1).index_put((visual_P[place_P],), place_P)


def _as_single(values: torch.Tensor) -> torch.Tensor:
    """In float32, or float64 where that is what came."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _mean_norms(**vectors_SD: torch.Tensor) -> dict[str, float]:
    """The mean length of the vectors by name; without any vector, nothing."""
    with torch.no_grad():
        return {k: v.norm(dim=-1).mean().item() for k, v in vectors_SD.items() if len(v)}


def build(config: Config) -> ReconstructionObjective:
    """Called by diglot with the options that recipe and command line gave."""
    return ReconstructionObjective(config)
