"""Grounding DINO and MM-Grounding-DINO: boxes for phrases, scored by each phrase's own tokens.

Liu et al. 2024 (arXiv 2303.05499). Phrases go into one text, "a cat. a red hat.", in chunks that
fit the model's text length: what is beyond it is cut in silence. A box's score for a phrase is the
largest probability over the phrase's own tokens, found by the tokenizer's offsets; labels decoded
from scores come back as fragments of several phrases, so they are not used.
Legend: B pictures, Q queries (boxes), T text tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer

from diglot.config.ranges import ClosedUnitInterval, PositiveInt
from diglot.core.errors import ConfigError
from diglot.models.pretrained import read_pretrained
from diglot.synth.annotator import Detection
from diglot.synth.annotators._on_device import load_model, load_processor, revision_of
from diglot.synth.device import find_device


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the detector."""

    path: str = "IDEA-Research/grounding-dino-base"
    """Checkpoint: a folder or a name on the hub; MM-Grounding-DINO too."""
    threshold: ClosedUnitInterval = 0.25
    """Least score of a box for a phrase, in [0, 1]. In no paper: the public default."""
    one_prompt_each: bool = False
    """A forward for every phrase alone, as MMCS has it ("one prompt per entity"): slower, and no
    phrase sees another."""
    max_tokens: PositiveInt = 256
    """Tokens of a text; the model's own limit where that is smaller."""
    dtype: str = "float32"
    """float32, bfloat16 or float16."""


class GroundingDino:
    """Detections of phrases."""

    def __init__(self, config: Config, model: Any, tokenizer: Any, processor: Any) -> None:
        self._config, self._model, self._tokenizer = config, model, tokenizer
        self._processor = processor
        own = getattr(model.config, "max_text_len", None)
        self._max_tokens = min(filter(None, (config.max_tokens, own)))
        self.model, self.revision = config.path, revision_of(model, config.path)

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]:
        """Boxes above the threshold for each phrase of each picture; a picture without phrases
        has none. Pictures are batched over chunks of the same number.
        """
        found: list[list[Detection]] = [[] for _ in pictures]
        work = [
            (number, chunk) for number, texts in enumerate(phrases) for chunk in self._chunks(texts)
        ]
        for start in range(0, len(work), max(1, len(pictures))):
            batch = work[start : start + max(1, len(pictures))]
            results = self._detect([pictures[n] for n, _ in batch], [chunk for _, chunk in batch])
            for (number, _), detections in zip(batch, results, strict=True):
                found[number] += detections
        return found

    def _chunks(self, texts: Sequence[str]) -> list[list[tuple[int, str]]]:
        """(index, phrase) pairs, as many together as the text length holds."""
        chunks: list[list[tuple[int, str]]] = []
        room = 0
        for index, text in enumerate(texts):
            phrase = clean_phrase(text)
            size = len(self._tokenizer(phrase, add_special_tokens=False).input_ids) + 1  # a dot
            if size == 1 or size > self._max_tokens - 2:  # of invisible characters nothing is left
                continue  # the step counts it as not found
            if not chunks or size > room or self._config.one_prompt_each:
                chunks.append([])
                room = self._max_tokens - 2  # [CLS] and [SEP]
            chunks[-1].append((index, phrase))
            room -= size
        return chunks

    @torch.inference_mode()
    def _detect(
        self, pictures: list[Image.Image], chunks: list[list[tuple[int, str]]]
    ) -> list[list[Detection]]:
        texts = [join_phrases([phrase for _, phrase in chunk]) for chunk in chunks]
        prompts = [text for text, _ in texts]
        encoded = self._tokenizer(
            prompts, return_offsets_mapping=True, padding=True, return_tensors="pt"
        )
        offsets_BT2 = encoded.pop("offset_mapping").numpy()
        if encoded.input_ids.shape[1] > self._max_tokens:
            raise ConfigError("the prompt is longer than the text length", where="grounding_dino")
        images = self._processor(images=pictures, return_tensors="pt")
        device, dtype = self._model.device, self._model.dtype
        inputs = {name: value.to(device) for name, value in {**encoded, **images}.items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        out = self._model(**inputs)
        probability_BQT = out.logits.float().sigmoid().cpu().numpy()
        boxes_BQ4 = out.pred_boxes.float().cpu().numpy()
        return [
            self._read(chunks[b], texts[b][1], offsets_BT2[b], probability_BQT[b], boxes_BQ4[b], p)
            for b, p in enumerate(pictures)
        ]

    def _read(
        self,
        chunk: list[tuple[int, str]],
        spans: list[tuple[int, int]],
        offsets_T2: np.ndarray,
        probability_QT: np.ndarray,
        boxes_Q4: np.ndarray,
        picture: Image.Image,
    ) -> list[Detection]:
        boxes = to_xyxy(boxes_Q4, picture.size)
        found = []
        for (index, phrase), span in zip(chunk, spans, strict=True):
            score_Q = phrase_scores(probability_QT, offsets_T2, span)
            for query in np.flatnonzero(~(score_Q < self._config.threshold)):  # NaN is reported
                box = tuple(float(value) for value in boxes[query])
                found.append(
                    Detection(box=box, score=float(score_Q[query]), label=phrase, phrase=index)  # type: ignore[arg-type]
                )
        return found


def clean_phrase(text: str) -> str:
    """Lower case, single spaces, no dots: those part the phrases of a prompt."""
    return " ".join(text.lower().replace(".", " ").split())


def join_phrases(phrases: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """("a cat. a dog.", the characters of each phrase in it)."""
    text, spans = "", []
    for phrase in phrases:
        start = len(text) + bool(text)
        text += f"{' ' if text else ''}{phrase}."
        spans.append((start, start + len(phrase)))
    return text, spans


def phrase_scores(
    probability_QT: np.ndarray, offsets_T2: np.ndarray, span: tuple[int, int]
) -> np.ndarray:
    """Each box's score for a phrase, (Q,): the largest over the tokens within the phrase."""
    starts, ends = offsets_T2[:, 0], offsets_T2[:, 1]
    own_T = (starts < span[1]) & (ends > span[0]) & (ends > starts)
    tokens = np.flatnonzero(own_T)
    if not len(tokens):
        raise ConfigError("a phrase has no token of its own", got=span, where="grounding_dino")
    return probability_QT[:, tokens].max(axis=1)


def to_xyxy(boxes_Q4: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Centre, width and height in [0, 1] as xyxy px of a picture of `size` (width, height)."""
    cx, cy, w, h = boxes_Q4.astype(np.float64).T
    width, height = size
    return np.stack(
        [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height],
        axis=1,
    )


def build(config: Config) -> GroundingDino:
    """The detector on this worker's device."""
    where = "grounding_dino"
    model = load_model(AutoModelForZeroShotObjectDetection, config.path, config.dtype, where=where)
    tokenizer = read_pretrained(AutoTokenizer, config.path, where=where)
    processor = load_processor(config.path, where=where)
    return GroundingDino(config, model.to(find_device()), tokenizer, processor)
