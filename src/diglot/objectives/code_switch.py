"""Multimodal code-switching: an entity's words give way to its object's tokens (MMCS Eq. 1-5).

L_LM learns the text behind it; L_entity learns to name the object, on a branch that
forks off behind it, so that one forward pass serves all entities. The paper leaves the options of
`Config` open; each is logged with the run.

The paper switches captions. Of a conversation the entities of learned answers are switched alike,
under the chat template; those of questions stay as they are, since nothing is learned there.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.errors import ConfigError, DataError, locate_errors
from diglot.core.geometry import TokenGrid, ViewKind
from diglot.core.objective import Prepared, TermReduction, count_learned, token_loss
from diglot.core.segments import Branch, Image, Patches, Segment, Sequence, Tokens
from diglot.core.spans import drop_overlaps, token_slice
from diglot.core.types import LossTerms, Region, Sample, Span
from diglot.models.chat_segments import chat_segments, read_template
from diglot.models.chat_template import tokenize_chat
from diglot.models.config import Frame
from diglot.models.prompt import caption_of, end_segments, open_segments

OBJECT_VIEWS: dict[str, tuple[ViewKind, ...]] = {
    "all": ("image", "tile", "thumbnail"),
    "thumbnail": ("image", "thumbnail"),
    "tiles": ("image", "tile"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of MMCS. A weight of 0 leaves the term out altogether (Table 4's ablations)."""

    text_weight: float = 1.0
    """Weight of L_LM (Eq. 3)."""
    entity_weight: float = 1.0
    """Weight of L_entity (Eq. 4)."""
    image_prefix: bool = True
    """Do all visual tokens stand before the text? Of a conversation: where its images stand."""
    object_tokens: Literal["all", "thumbnail", "tiles"] = "all"
    """The views that an object's visual tokens are taken from."""
    max_objects: int | None = None
    """Keep at most so many objects, those with the best scores; null = all."""
    replace_probability: float = 1.0
    """Probability with which each entity is switched."""
    reduction: TermReduction = "mean"
    """Of each term: mean over its supervised tokens of the optimizer step, or their sum; "joint":
    its sum over both terms' tokens, so that a token of either weighs as much (Eq. 5 as one mean).
    """
    frame: Frame = field(default_factory=Frame)
    """The text around image and caption."""
    template: str | None = None
    """Of conversations: path of a Jinja file to use in place of the tokenizer's own template."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.replace_probability <= 1.0:
            raise ConfigError(
                "not a probability", got=self.replace_probability, where="replace_probability"
            )
        if min(self.text_weight, self.entity_weight) < 0 or not (
            self.text_weight or self.entity_weight
        ):
            raise ConfigError(
                "nothing would be learned",
                expected="weights >= 0, not both 0",
                got=(self.text_weight, self.entity_weight),
                where="text_weight, entity_weight",
            )
        if not self.image_prefix and not self.frame.bos:
            raise ConfigError(
                "nothing would stand before the first word",
                where="image_prefix, frame.bos",
                fix="Keep the BOS, or the image before the text.",
            )
        if self.max_objects is not None and self.max_objects < 1:
            raise ConfigError("must be at least 1", got=self.max_objects, where="max_objects")


@dataclass(frozen=True)
class Switch:
    """One entity to switch: its tokens [start, stop), and its objects' visual tokens."""

    start: int
    stop: int
    objects: tuple[Patches, ...]
    """Of each image that shows it."""
    score: float


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text whose entities are switched: a caption, or a rendered conversation."""

    offsets_T2: np.ndarray
    """[start, end) characters of each token."""
    cut: Callable[[int, int], Sequence]
    """The tokens from one number to another as segments."""
    span_of: Callable[[Region], Span | None]
    """The characters of a region's entity; None where it cannot be switched."""
    before: Sequence = ()
    after: Sequence = ()


class CodeSwitchObjective:
    """L = text_weight * L_LM + entity_weight * L_entity (Eq. 5)."""

    terms = ("text", "entity")
    reads: frozenset[Reads] = frozenset({"log_probs"})

    def __init__(self, config: Config) -> None:
        self.config, self.reduction = config, config.reduction
        self.template = read_template(config.template)
        self.weights = {"text": config.text_weight, "entity": config.entity_weight}

    def prepare(
        self,
        sample: Sample,
        grids: Seq[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
    ) -> Prepared:
        """X_MMCS with a branch behind every object. Raises DataError where nothing is learned."""
        notes: Counter[str] = Counter()
        text = (self._talk if sample.is_conversation else self._caption)(sample, tokenizer)
        found = find_switches(sample, grids, text, self.config, notes)
        sequence = self._body(text, self._choose(found, rng, notes))
        counts = count_learned(sequence)
        if not counts:
            raise DataError(
                "nothing to learn: no entity can be switched and L_LM is off",
                where=f"sample {sample.id!r}, regions",
            )
        return Prepared(sequence, counts=counts, notes=dict(notes))

    def _choose(
        self, switches: list[Switch], rng: torch.Generator, notes: Counter[str]
    ) -> list[Switch]:
        """Disjoint switches in reading order, after max_objects and replace_probability."""
        config = self.config
        kept = drop_overlaps([(s.start, s.stop) for s in switches], [s.score for s in switches])
        notes["entity overlaps a better one"] += len(switches) - len(kept)
        chosen = [switches[i] for i in kept]
        if config.max_objects is not None and len(chosen) > config.max_objects:
            notes["entity beyond max_objects"] += len(chosen) - config.max_objects
            best = sorted(chosen, key=lambda s: -s.score)[: config.max_objects]
            chosen = [s for s in chosen if s in best]
        if config.replace_probability < 1.0:
            draws = torch.rand(len(chosen), generator=rng) < config.replace_probability
            chosen = [s for s, draw in zip(chosen, draws.tolist(), strict=True) if draw]
        return chosen

    def _caption(self, sample: Sample, tokenizer: PreTrainedTokenizerFast) -> Text:
        """The caption between the frame's parts."""
        caption, frame = caption_of(sample, tokenizer), self.config.frame
        learn = "text" if self.config.text_weight else None
        return Text(
            offsets_T2=caption.offsets_T2,
            cut=lambda start, stop: (Tokens(caption.ids[start:stop], learn),),
            span_of=lambda region: region.word_span,
            before=tuple(open_segments(frame, tokenizer, image=self.config.image_prefix)),
            after=tuple(end_segments(frame, tokenizer, learn)),
        )

    def _talk(self, sample: Sample, tokenizer: PreTrainedTokenizerFast) -> Text:
        """The rendered conversation, of which the entities of learned answers can be switched."""
        learn = "text" if self.config.text_weight else None
        with locate_errors(f"sample {sample.id!r}"):
            chat = tokenize_chat(sample.turns, tokenizer, self.template)

        def cut(start: int, stop: int) -> Sequence:
            made = chat_segments(chat, start, stop, learn=learn)
            return tuple(s for s in made if self.config.image_prefix or not isinstance(s, Image))

        def span_of(region: Region) -> Span | None:
            span, turn = region.word_span, region.turn
            if span is None or turn is None or not sample.turns[turn].learn:
                return None
            return chat.locate_span(sample.turns, turn, span)

        return Text(offsets_T2=chat.offsets_T2, cut=cut, span_of=span_of)

    def _body(self, text: Text, switches: list[Switch]) -> Sequence:
        """The text with every switched entity as its object's tokens and a branch (Eq. 2, 4)."""
        body: list[Segment] = list(text.before)
        at = 0
        for switch in switches:
            body += [*text.cut(at, switch.start), *switch.objects]
            if self.config.entity_weight:
                ids = [s.ids for s in text.cut(switch.start, switch.stop) if isinstance(s, Tokens)]
                body.append(Branch(tuple(chain(*ids)), "entity"))
            at = switch.stop
        return (*body, *text.cut(at, len(text.offsets_T2)), *text.after)

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """Summed negative log-likelihood of text and entity tokens, in nats."""
        return token_loss(out, batch)


def find_switches(
    sample: Sample, grids: Seq[TokenGrid], text: Text, config: Config, notes: Counter[str]
) -> list[Switch]:
    """Every entity with its words in the text and tokens on the grids (Eq. 1), as a Switch.

    Regions of the same words ("two dogs", a box each) are one entity: v_object is their union.
    """
    found: dict[Span, list[tuple[Region, np.ndarray]]] = {}
    for region in sample.regions:
        grid, span = grids[region.image], text.span_of(region)
        words = token_slice(text.offsets_T2, span) if span else None
        allowed = grid.in_views(OBJECT_VIEWS[config.object_tokens])
        inside_P = grid.overlapping(region.box) & allowed
        if words is None:
            kind = "a learned answer" if sample.is_conversation else "the caption"
            notes[f"entity not in {kind}"] += 1
        elif not inside_P.any():
            notes["object outside the views"] += 1
        else:
            found.setdefault(words, []).append((region, inside_P))
    return [
        Switch(*words, _unite_objects(members), max(region.score for region, _ in members))
        for words, members in found.items()
    ]


def _unite_objects(members: list[tuple[Region, np.ndarray]]) -> tuple[Patches, ...]:
    """The visual tokens of any of the regions, image by image, each once."""
    united: dict[int, np.ndarray] = {}
    for region, inside_P in members:
        united[region.image] = united.get(region.image, False) | inside_P
    return tuple(
        Patches(tuple(np.flatnonzero(inside_P).tolist()), image)
        for image, inside_P in sorted(united.items())
    )


def build(config: Config) -> CodeSwitchObjective:
    """Called by diglot with the options that recipe and command line gave."""
    return CodeSwitchObjective(config)
