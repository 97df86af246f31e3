"""Qwen2.5-VL: its ViT at native resolution, its merger, and Qwen2 under M-RoPE.

Its chat template, not its processor, writes the tokens around an image.
"""

import copy
from typing import Any

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLTextConfig,
    Qwen2VLImageProcessorPil,
)

from diglot.core.types import SizeHW
from diglot.models.export.container import (
    Container,
    State,
    encoder_misfits,
    language_misfits,
    mode_misfits,
)
from diglot.models.export.design import Design
from diglot.models.export.images import pixel_settings
from diglot.models.export.mark_rules import mark_misfits, marks_of
from diglot.models.export.written_processor import WrittenProcessor
from diglot.models.grid_positions import grid_rope
from diglot.models.visual_rules import VisualRule
from diglot.models.vlm import VLM

START, END = "<|vision_start|>", "<|vision_end|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"


class Qwen25VL(Container):
    """Writes a model as a folder that `Qwen2_5_VLForConditionalGeneration` loads."""

    name, model_class = "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"
    tower_at, projector_at = "model.visual.", "model.visual.merger."
    image_token, image_text = IMAGE, START + IMAGE + END

    def find_misfits(self, design: Design) -> list[str]:
        return [
            *encoder_misfits(design, ("qwen2_5_vl",)),
            *mode_misfits(design, ("native",)),
            *mark_misfits(design, allowed=("start", "end")),
            *_token_misfits(design),
            *_merger_misfits(design),
            *_text_misfits(design),
            *language_misfits(design, rule=VisualRule(grid_positions=True)),
        ]

    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        vision, tokenizer = copy.deepcopy(vlm.encoder.tower.config), vlm.language.tokenizer
        start, end = (_token_id(tokenizer, token) for token in (START, END))
        vision.out_hidden_size = vlm.language.width
        return Qwen2_5_VLConfig(
            vision_config=vision.to_dict(),
            text_config=_text_config(vlm.language.model.config),
            image_token_id=image_token_id,
            vision_start_token_id=start,
            vision_end_token_id=end,
            tie_word_embeddings=vlm.language.model.config.tie_word_embeddings,
        )

    def tower_state(self, vlm: VLM) -> State:
        """The tower without the merger that it came with."""
        state = super().tower_state(vlm)
        return {name: value for name, value in state.items() if not name.startswith("merger.")}

    def projector_state(self, vlm: VLM, design: Design) -> State:
        projector: Any = vlm.projector
        layers = {"ln_q": projector.norm, "mlp.0": projector.fc1, "mlp.2": projector.fc2}
        return {
            f"{at}.{name}": value
            for at, layer in layers.items()
            for name, value in layer.state_dict().items()
        }

    def pixel_inputs(self, vlm: VLM, pixels_V3HW: torch.Tensor, size_hw: SizeHW) -> State:
        flat, (views, rows, columns, _) = vlm.encoder.cut_patches(pixels_V3HW)
        grid = torch.tensor([[1, rows, columns]] * views)
        return {"pixel_values": flat.contiguous(), "image_grid_thw": grid}

    def extra_tokens(self, design: Design) -> list[str]:
        return [VIDEO]

    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        tower, preprocess = vlm.encoder.tower.config, vlm.preprocess
        size = {"shortest_edge": preprocess.min_pixels, "longest_edge": preprocess.max_pixels}
        patches = {
            "patch_size": tower.patch_size,
            "temporal_patch_size": tower.temporal_patch_size,
            "merge_size": tower.spatial_merge_size,
        }
        settings = {"size": size, **patches, **pixel_settings(vlm)}
        images = Qwen2VLImageProcessorPil(**settings).to_dict()
        video = {"video_processor_type": "Qwen2VLVideoProcessor", **settings}
        return WrittenProcessor(
            "Qwen2_5_VLProcessor",
            tokenizer,
            {"image_processor": images, "video_processor": video},
            named_tokens={"image_token": IMAGE, "video_token": VIDEO},
        )


def _token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """One token's id."""
    number = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(number, int)  # of a list of tokens it would be a list
    return number


def _token_misfits(design: Design) -> list[str]:
    marks = marks_of(design)
    if (marks.start, marks.end) == (START, END):
        return []
    return [f"preprocess.marks: its template writes start: {START}, end: {END}"]


def _merger_misfits(design: Design) -> list[str]:
    settings = design.projector
    if settings["name"] != "patch_merger":
        return [f"projector {settings['name']}: it has its own, patch_merger"]
    factor = settings["unshuffle"]
    merge = getattr(design.tower, "spatial_merge_size", factor)
    if factor == merge:
        return []
    return [
        f"projector.unshuffle {settings['unshuffle']}: its tower's blocks are {merge} x {merge}"
    ]


def _text_misfits(design: Design) -> list[str]:
    kind = getattr(design.text, "model_type", "qwen2")
    return [] if kind == "qwen2" else [f"a language model of type {kind}: its own is Qwen2's"]


def _text_config(text: Any) -> dict[str, Any]:
    """Qwen2's settings by Qwen2.5-VL's names."""
    known = Qwen2_5_VLTextConfig().to_dict()
    fields = {name: value for name, value in text.to_dict().items() if name in known}
    width = text.hidden_size // text.num_attention_heads
    return {
        **fields,
        "model_type": Qwen2_5_VLTextConfig.model_type,
        "rope_parameters": grid_rope(text.rope_parameters, width),
    }


CONTAINER = Qwen25VL()
