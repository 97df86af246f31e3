"""OWLv2: boxes for phrases, each phrase a query of its own (Minderer et al. 2023, 2306.09683)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer

from diglot.config.ranges import ClosedUnitInterval
from diglot.models.pretrained import read_pretrained
from diglot.synth.annotator import Detection
from diglot.synth.annotators._on_device import load_model, load_processor, revision_of
from diglot.synth.annotators.grounding_dino import to_xyxy
from diglot.synth.device import find_device


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the detector."""

    path: str = "google/owlv2-base-patch16-ensemble"
    """Checkpoint: a folder or a name on the hub."""
    threshold: ClosedUnitInterval = 0.2
    """Least score of a box for a phrase, in [0, 1]. Ours."""
    prompt: str = "a photo of a {}"
    """What stands around each phrase."""
    dtype: str = "float32"
    """float32, bfloat16 or float16."""


class Owlv2:
    """Detections of phrases; a picture at a time, since their phrases differ in number."""

    def __init__(self, config: Config, model: Any, tokenizer: Any, processor: Any) -> None:
        self._config, self._model = config, model
        self._tokenizer, self._processor = tokenizer, processor
        self._max_tokens = model.config.text_config.max_position_embeddings
        self.model, self.revision = config.path, revision_of(model, config.path)

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]:
        """Boxes above the threshold for each phrase of each picture."""
        return [self._detect(p, words) for p, words in zip(pictures, phrases, strict=True)]

    @torch.inference_mode()
    def _detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        if not phrases:
            return []
        texts = [self._config.prompt.format(phrase) for phrase in phrases]
        device, dtype = self._model.device, self._model.dtype
        encoded = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        )
        pixels = self._processor(images=picture, return_tensors="pt").pixel_values
        out = self._model(
            input_ids=encoded.input_ids.to(device),
            attention_mask=encoded.attention_mask.to(device),
            pixel_values=pixels.to(device, dtype),
        )
        score_QR = out.logits[0].float().sigmoid().cpu().numpy()  # boxes x phrases
        boxes = _on_picture(out.pred_boxes[0].float().cpu().numpy(), picture.size)
        return [
            Detection(
                box=tuple(float(v) for v in boxes[query]),  # type: ignore[arg-type]
                score=float(score_QR[query, index]),
                label=str(phrases[int(index)]),
                phrase=int(index),
            )
            for query, index in np.argwhere(~(score_QR < self._config.threshold))
        ]


def _on_picture(boxes_Q4: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """xyxy px, clipped: the picture was padded to a square at its right and bottom."""
    side = max(size)
    boxes = to_xyxy(boxes_Q4, (side, side))
    limits = np.array([size[0], size[1], size[0], size[1]], np.float64)
    return np.clip(boxes, 0.0, limits)


def build(config: Config) -> Owlv2:
    """The detector on this worker's device."""
    model = load_model(
        AutoModelForZeroShotObjectDetection, config.path, config.dtype, where="owlv2"
    )
    tokenizer = read_pretrained(AutoTokenizer, config.path, where="owlv2")
    processor = load_processor(config.path, where="owlv2")
    return Owlv2(config, model.to(find_device()), tokenizer, processor)
