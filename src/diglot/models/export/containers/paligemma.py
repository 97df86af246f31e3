"""PaliGemma: SigLIP, one matrix, and a Gemma that reads image and question both ways.

Its processor puts BOS behind the image and a newline behind the question: a document is image, BOS,
question, newline, answer. Positions count from 1, which a rotary embedding does not notice. The
1,152 words of places and segments that it adds start as the mean word.
"""

import copy
from typing import Any

from transformers import (
    PaliGemmaConfig,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
)

from diglot.models.export.chat_template import PALIGEMMA_PROMPT
from diglot.models.export.container import (
    Container,
    State,
    encoder_misfits,
    language_misfits,
    layer_misfits,
    mode_misfits,
    size_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings, square_size
from diglot.models.export.mark_rules import mark_misfits, marks_of
from diglot.models.export.mlp_projector import linear_misfits
from diglot.models.visual_rules import VisualRule
from diglot.models.vlm import VLM

FAMILIES = ("gemma", "gemma2")  # PaliGemma's and PaliGemma 2's


class PaliGemma(Container):
    """Writes a model as a folder that `PaliGemmaForConditionalGeneration` loads."""

    name, model_class = "paligemma", "PaliGemmaForConditionalGeneration"
    chat_template = PALIGEMMA_PROMPT

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, ("siglip",)),
            *layer_misfits(design, reads_last=True),
            *mode_misfits(design, ("squash",)),
            *size_misfits(design),
            *mark_misfits(design, allowed=("end",)),
            *_bos_misfits(design),
            *_projector_misfits(design),
            *_text_misfits(design),
            *language_misfits(design, rule=VisualRule(both_ways="prefix"), changes_logits=True),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        text = copy.deepcopy(vlm.language.model.config)
        text.use_bidirectional_attention = True
        return PaliGemmaConfig(
            vision_config=copy.deepcopy(vlm.encoder.tower.config),
            text_config=text,
            image_token_index=image_token_id,
            projection_dim=vlm.language.width,
            hidden_size=vlm.language.width,
            tie_word_embeddings=text.tie_word_embeddings,
        )

    def projector_state(self, vlm: VLM, design: Design) -> State:
        projector: Any = vlm.projector
        return {f"linear.{name}": value for name, value in projector.fc.state_dict().items()}

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        images: Any = SiglipImageProcessorPil(
            size=square_size(vlm.preprocess.image_px), **pixel_settings(vlm)
        )
        side = vlm.preprocess.image_px
        images.image_seq_length = len(vlm.token_grid((side, side)))
        return PaliGemmaProcessor(images, tokenizer)  # it adds tokens of places and segments


def _bos_misfits(design: Design) -> list[str]:
    end = marks_of(design).end
    if end and design.text is None:  # whose BOS is not known
        return []
    bos = design.read_bos()
    if end and end == bos:
        return []
    return [f"preprocess.marks.end {end!r}: behind an image it writes the BOS, {bos!r}"]


def _projector_misfits(design: Design) -> list[str]:
    reasons = linear_misfits(design, bias=True)
    if not reasons and design.projector["unshuffle"] != 1:
        reasons.append(f"projector.unshuffle {design.projector['unshuffle']}: it merges no tokens")
    return reasons


def _text_misfits(design: Design) -> list[str]:
    kind = getattr(design.text, "model_type", FAMILIES[0])
    if kind in FAMILIES:
        return []
    return [f"a language model of type {kind}: its own is Gemma's"]


CONTAINER = PaliGemma()
