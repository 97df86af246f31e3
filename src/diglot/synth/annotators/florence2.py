"""Florence-2: detailed captions by its own task tokens (Xiao et al. 2024, arXiv 2311.06242)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import AutoProcessor, Florence2ForConditionalGeneration

from diglot.config.ranges import PositiveInt
from diglot.core.errors import DataError
from diglot.models.pretrained import read_pretrained
from diglot.synth.annotators._answers import cut_error
from diglot.synth.annotators._cut_answers import find_cut_rows
from diglot.synth.annotators._on_device import load_model, revision_of
from diglot.synth.device import find_device
from diglot.synth.step import Draft

TASKS = {
    "caption": "<CAPTION>",
    "detailed": "<DETAILED_CAPTION>",
    "more_detailed": "<MORE_DETAILED_CAPTION>",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the captioner."""

    path: str = "florence-community/Florence-2-large"
    """Checkpoint: a folder or a name on the hub."""
    task: Literal["caption", "detailed", "more_detailed"] = "more_detailed"
    """How much it writes."""
    max_tokens: PositiveInt = 512
    """Longest caption; an image whose caption is cut there is rejected."""
    beams: PositiveInt = 3
    """Beams of the search."""
    dtype: str = "float32"
    """float32, bfloat16 or float16."""


class Florence2:
    """Captions of pictures."""

    def __init__(self, config: Config, model: Any, processor: Any) -> None:
        self._config, self._model, self._processor = config, model, processor
        self.model = f"{config.path} {TASKS[config.task]}"
        self.revision = revision_of(model, config.path)

    def write_captions(self, drafts: Sequence[Draft]) -> list[Draft | DataError]:
        """Each draft with its caption; its regions lose their spans."""
        new_BT = self._generate(drafts)
        texts = self._processor.batch_decode(new_BT, skip_special_tokens=True)
        cut = find_cut_rows(new_BT, self._config.max_tokens, self._model.generation_config)
        return [_with_caption(*made) for made in zip(drafts, texts, cut, strict=True)]

    @torch.inference_mode()
    def _generate(self, drafts: Sequence[Draft]) -> torch.Tensor:
        inputs = self._processor(
            text=[TASKS[self._config.task]] * len(drafts),
            images=[draft.picture for draft in drafts],
            return_tensors="pt",
            padding=True,
        ).to(self._model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        out_BT = self._model.generate(
            **inputs,
            max_new_tokens=self._config.max_tokens,
            num_beams=self._config.beams,
            do_sample=False,
        )
        return out_BT[:, 1:]  # behind the decoder's first token


def _with_caption(draft: Draft, text: str, cut: bool) -> Draft | DataError:
    caption = " ".join(text.split())
    if cut:
        return cut_error(caption)
    if not caption:
        return DataError("the caption is empty")
    regions = tuple(replace(region, span=None) for region in draft.sample.regions)
    return draft.with_sample(caption=caption, regions=regions)


def build(config: Config) -> Florence2:
    """The captioner on this worker's device."""
    kind = Florence2ForConditionalGeneration
    model = load_model(kind, config.path, config.dtype, where="florence2")
    processor = read_pretrained(AutoProcessor, config.path, where="florence2")
    return Florence2(config, model.to(find_device()), processor)
