"""Encoder, projector and language model joined: from views and packed documents to log-probs."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad

from diglot.core.batch import LLM_READS, Batch, ForwardOutput, Reads
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid
from diglot.core.layout import Packed
from diglot.core.preprocess import Preprocess
from diglot.core.types import SizeHW
from diglot.models.adapters.stock import open_stock
from diglot.models.config import Attention, VLMConfig
from diglot.models.decode import choose_rule, decode_packed, set_attention
from diglot.models.grid_positions import give_grid_positions
from diglot.models.language import Language, load_language
from diglot.models.logprobs import target_log_probs
from diglot.models.new_tokens import add_new_tokens
from diglot.models.processor import ViewProcessor, make_processor, make_view_processor
from diglot.models.projector import check_projector, merging_of
from diglot.models.prompt import ImageText, set_image_text
from diglot.models.separate import list_passages, scatter_passages
from diglot.models.visual_rules import opens_document, read_rule


class VLM(nn.Module):
    """The model that every objective trains and every measure reads."""

    def __init__(
        self,
        encoder: Any,
        projector: nn.Module,
        language: Language,
        preprocess: Preprocess,
        attention: Attention = "split",
    ) -> None:
        super().__init__()
        self.encoder, self.projector, self.language = encoder, projector, language
        self.attention: Attention = attention
        self.processor = make_processor(
            encoder,
            merging_of(projector),
            preprocess,
            language.tokenizer,
            max_length=language.max_length,
        )
        self.heads = nn.ModuleDict()  # what an objective learns of its own; no part of the result
        set_attention(language, attention)

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes views."""
        return self.processor.preprocess

    @property
    def unshuffle(self) -> int:
        """Rows and columns of the encoder's features that the projector merges into one token."""
        return self.processor.merging.multiple

    @property
    def levels(self) -> int:
        """Vectors of a visual token: 1, and one for each layer that DeepStack adds more to."""
        return getattr(self.encoder, "levels", 1)

    def token_grid(self, size_hw: SizeHW) -> TokenGrid:
        """The cells of the visual tokens of an image of this size."""
        return self.processor.token_grid(size_hw)

    def feature_grid(self, size_hw: SizeHW) -> TokenGrid:
        """The cells of the encoder's features, before the projector merges any."""
        return self.processor.feature_grid(size_hw)

    def features(self, pixels: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Encoder features (h, w, E) of each view; views of one shape run as one batch."""
        return map_by_shape(self.encoder, pixels)

    def project(self, features: Iterable[torch.Tensor]) -> torch.Tensor:
        """Visual tokens (N, D) of all views, stacked in order, row-major within a view.

        Of a model with DeepStack (N, levels x D): the token, then what is added to it at the first
        layers.
        """
        weights = next(self.projector.parameters(), None)
        dtype = torch.float32 if weights is None else weights.dtype  # the encoder's may be half
        views = list(features)
        if not views:  # a batch of conversations without images
            return torch.zeros(
                0, self.language.width, device=self.language.input_embeddings.weight.device
            )
        tokens = map_by_shape(lambda features_VhwE: self.projector(features_VhwE.to(dtype)), views)
        return torch.cat([tokens_rcD.flatten(0, 1) for tokens_rcD in tokens])

    def visual_tokens(self, batch: Batch) -> torch.Tensor:
        """Visual tokens (N, D) of the batch's images."""
        pixels_given = batch.views_are == "pixels"
        return self.project(self.features(batch.views) if pixels_given else batch.views)

    def embed(self, packed: Packed, visual_ND: torch.Tensor) -> torch.Tensor:
        """The LLM's input (B, T, D): words, visual tokens and learned separators in their places.

        Where visual tokens have more levels, (B, T, levels x D), with zeros behind words. Raises
        ConfigError for a learned separator where the projector has none.
        """
        embeds_BTD = self.language.input_embeddings(packed.token_BT)
        is_visual = packed.visual_BT >= 0
        if self.levels > 1 and is_visual.any():
            assert visual_ND.shape[1] == self.levels * self.language.width
            embeds_BTD = pad(embeds_BTD, (0, visual_ND.shape[1] - self.language.width))
        chosen = visual_ND.to(embeds_BTD.dtype)[packed.visual_BT[is_visual]]
        chosen = chosen[:, : embeds_BTD.shape[2]]  # none of one level, where there are no visual
        embeds_BTD = embeds_BTD.index_put((is_visual,), chosen)
        return self._put_separators(embeds_BTD, packed.separator_BT)

    def _put_separators(self, embeds_BTD: torch.Tensor, separator_BT: torch.Tensor) -> torch.Tensor:
        vectors_KD = getattr(self.projector, "separators", None)
        is_separator = separator_BT >= 0
        if vectors_KD is not None:
            chosen = vectors_KD.to(embeds_BTD.dtype)[separator_BT[is_separator]]
            return embeds_BTD.index_put((is_separator,), chosen)
        if is_separator.any():
            raise ConfigError(
                "the sequence has a learned separator, and the projector learns none",
                expected="a projector with `separators`",
                where="projector",
            )
        return embeds_BTD

    def decode(self, packed: Packed, visual_ND: torch.Tensor, *, every_layer: bool = False) -> Any:
        """The LLM decoder's output over packed documents, under the one attention rule."""
        embeds = self.embed(packed, visual_ND)
        return decode_packed(self.language, packed, embeds, self.attention, every_layer=every_layer)

    def log_probs(self, packed: Packed, visual_ND: torch.Tensor) -> torch.Tensor:
        """log p(target | query) of every supervised pair, float32 (S,), in nats."""
        hidden = self.decode(packed, visual_ND).last_hidden_state.flatten(0, 1)
        return target_log_probs(hidden, packed.query_S, packed.target_S, self.language.head)

    def forward(self, batch: Batch, reads: frozenset[Reads]) -> ForwardOutput:
        """Only what `reads` asks for; where it asks nothing of the LLM, the LLM does not run."""
        visual = self.visual_tokens(batch)
        words = self.language.input_embeddings.weight if "words" in reads else None
        if not reads & LLM_READS:
            return ForwardOutput(self._take_tokens(visual), words_VD=words)
        unnormed: list[torch.Tensor] = []
        with self._watching_norm(unnormed) if "unnormed" in reads else contextlib.nullcontext():
            out = self.decode(batch.packed, visual, every_layer="hidden" in reads)
        log_prob = None
        if "log_probs" in reads:
            packed, flat = batch.packed, out.last_hidden_state.flatten(0, 1)
            log_prob = target_log_probs(flat, packed.query_S, packed.target_S, self.language.head)
        return ForwardOutput(
            self._take_tokens(visual),
            log_prob,
            out.hidden_states if "hidden" in reads else None,
            last_BTD=out.last_hidden_state if "last" in reads else None,
            unnormed_BTD=self._join_unnormed(batch.packed, unnormed),
            words_VD=words,
        )

    def _take_tokens(self, visual_ND: torch.Tensor) -> torch.Tensor:
        """The visual tokens themselves, without further levels."""
        return visual_ND if self.levels == 1 else visual_ND[:, : self.language.width]

    def _join_unnormed(self, packed: Packed, kept: list[torch.Tensor]) -> torch.Tensor | None:
        if self.attention != "separate" or not kept:
            return kept[0] if kept else None
        blank_BTD = kept[0].new_zeros(*packed.token_BT.shape, kept[0].shape[-1])
        return scatter_passages(list_passages(packed), kept, blank_BTD)

    @contextlib.contextmanager
    def _watching_norm(self, captured: list[torch.Tensor]) -> Iterator[None]:
        """Keep what goes into the LLM's final norm: transformers hands out only what leaves it."""
        norm = self.language.final_norm
        hook = norm.register_forward_pre_hook(lambda module, args: captured.append(args[0]))
        try:
            yield
        finally:
            hook.remove()


def build_vlm(config: VLMConfig, *, seed: int = 0, language: Language | None = None) -> VLM:
    """Load the encoder and the LLM, and start a projector from `seed`.

    `language` saves loading the LLM again; it must be that of `config.language`. Raises ConfigError
    where a part is unknown, cannot be loaded, or two do not fit.
    """
    if config.stock:
        return _stock_vlm(config)
    encoder = config.encoder.build()
    language = language or load_language(config.language)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = config.projector.build(
            encoder_width=encoder.width,
            llm_width=language.width,
            embeddings_rms=language.embeddings_rms(),
        )
    preprocess = config.preprocess or Preprocess(image_px=encoder.image_px)
    if preprocess.marks:
        add_new_tokens(language, preprocess.marks.new_tokens)
    if config.language.grid_positions:
        give_grid_positions(language)
    if opens_document(config, language.tokenizer.bos_token):
        set_image_text(language.tokenizer, ImageText(starts_document=True))
    attention = choose_rule(language, read_rule(config.language), config.attention)
    vlm = VLM(encoder, projector, language, preprocess, attention)
    _check_parts(vlm)
    return vlm


def build_encoder(config: VLMConfig) -> Any:
    """The encoder alone, as `build_vlm` has it. Raises ConfigError where it cannot be loaded."""
    return build_vlm(config).encoder if config.stock else config.encoder.build()


def build_image_side(config: VLMConfig, *, seed: int = 0) -> tuple[Any, ViewProcessor]:
    """The encoder and the way from a picture to its views, as `build_vlm` has them.

    No language model is loaded, unless a stock model holds it beside the encoder. Raises
    ConfigError where the encoder cannot be loaded, or its grid cannot be merged.
    """
    if config.stock:
        vlm = build_vlm(config)
        return vlm.encoder, vlm.processor
    encoder = config.encoder.build()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = config.projector.build(  # for its geometry, which no width changes
            encoder_width=encoder.width, llm_width=encoder.width, embeddings_rms=1.0
        )
    preprocess = config.preprocess or Preprocess(image_px=encoder.image_px)
    processor = make_view_processor(encoder, merging_of(projector), preprocess)
    processor.merged_grid((preprocess.image_px, preprocess.image_px))
    return encoder, processor


def _stock_vlm(config: VLMConfig) -> VLM:
    """A stock model's own parts, in the language model's dtype."""
    assert config.stock is not None
    language = config.language
    parts = open_stock(
        config.stock,
        revision=language.revision,
        dtype=language.dtype,
        preprocess=config.preprocess,
    )
    attention = choose_rule(parts.language, parts.rule, config.attention)
    vlm = VLM(parts.encoder, parts.projector, parts.language, parts.preprocess, attention)
    _check_parts(vlm)
    return vlm


def _check_parts(vlm: VLM) -> None:
    """Raises ConfigError for a grid that cannot be merged, or a projector that does not fit."""
    if vlm.preprocess.mode == "anyres" and getattr(vlm.projector, "separators", None) is None:
        raise ConfigError(
            "anyres ends each line of an image with a learned vector, and the projector has none",
            where="projector.separators",
            fix="Set it to 1.",
        )
    side = vlm.preprocess.image_px
    vlm.token_grid((side, side))
    view = vlm.feature_grid((side, side)).views[0]
    width = vlm.levels * vlm.language.width
    check_projector(vlm.projector, view, encoder_width=vlm.encoder.width, width=width)


def map_by_shape(
    function: Callable[[torch.Tensor], torch.Tensor], inputs: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """A function of stacked inputs, applied to those of one shape together; results in order."""
    by_shape: dict[torch.Size, list[int]] = {}
    for index, value in enumerate(inputs):
        by_shape.setdefault(value.shape, []).append(index)
    out: dict[int, torch.Tensor] = {}
    for indices in by_shape.values():
        results = function(torch.stack([inputs[i] for i in indices]))
        out.update(zip(indices, results, strict=True))
    return [out[i] for i in range(len(inputs))]
