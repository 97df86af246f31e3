"""Answers by a chat model of `transformers` on this machine: a VLM (Qwen-VL class), or a plain LLM.

Greedy, so that the same questions give the same answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from diglot.config.ranges import PositiveInt
from diglot.core.errors import ConfigError, DataError
from diglot.models.pretrained import read_pretrained
from diglot.synth.annotator import Question
from diglot.synth.annotators._answers import cut_error, fit_schema
from diglot.synth.annotators._cut_answers import find_cut_rows
from diglot.synth.annotators._on_device import load_model, revision_of
from diglot.synth.device import find_device


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the model."""

    path: str = "Qwen/Qwen3-VL-8B-Instruct"
    """Checkpoint: a folder or a name on the hub."""
    max_tokens: PositiveInt = 512
    """Longest answer; one that is cut there is rejected."""
    dtype: str = "bfloat16"
    """float32, bfloat16 or float16."""


class TransformersChat:
    """Answers, the questions of a call in one batch."""

    def __init__(self, config: Config, model: Any, processor: Any) -> None:
        self._config, self._model, self._processor = config, model, processor
        self._sees = hasattr(processor, "image_processor")
        tokenizer = getattr(processor, "tokenizer", processor)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.model, self.revision = config.path, revision_of(model, config.path)

    def answer_questions(self, questions: Sequence[Question]) -> list[str | DataError]:
        """The answers in order; DataError for one that does not fit its schema, or was cut."""
        new_BT = self._generate(questions)
        texts = self._processor.batch_decode(new_BT, skip_special_tokens=True)
        cut = find_cut_rows(new_BT, self._config.max_tokens, self._model.generation_config)
        return [_fit_answer(*answer) for answer in zip(texts, cut, questions, strict=True)]

    @torch.inference_mode()
    def _generate(self, questions: Sequence[Question]) -> torch.Tensor:
        inputs = self._prepare(questions).to(self._model.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        out_BT = self._model.generate(
            **inputs, max_new_tokens=self._config.max_tokens, do_sample=False
        )
        return out_BT[:, inputs["input_ids"].shape[1] :]  # behind the prompt

    def _prepare(self, questions: Sequence[Question]) -> Any:
        """Token ids, mask, pixels."""
        pictures = [q.picture for q in questions if q.picture is not None]
        if pictures and not self._sees:
            raise ConfigError("the model reads no pictures", got=self._config.path)
        prompts = [
            self._processor.apply_chat_template(
                [self._message(question)], tokenize=False, add_generation_prompt=True
            )
            for question in questions
        ]
        kind = {"return_tensors": "pt", "padding": True, "add_special_tokens": False}
        if self._sees:
            return self._processor(text=prompts, images=pictures or None, **kind)
        return self._processor(prompts, **kind)

    def _message(self, question: Question) -> dict[str, Any]:
        if not self._sees:
            return {"role": "user", "content": question.prompt}
        content: list[dict[str, Any]] = [{"type": "text", "text": question.prompt}]
        if question.picture is not None:
            content.insert(0, {"type": "image"})
        return {"role": "user", "content": content}


def _fit_answer(text: str, cut: bool, question: Question) -> str | DataError:
    try:
        answer = fit_schema(text, question.schema)
    except DataError as error:
        return cut_error(text) if cut else error
    # of an answer in JSON the object is whole, and what was cut stood behind it
    return cut_error(text) if cut and question.schema is None else answer


def build(config: Config) -> TransformersChat:
    """The model on this worker's device."""
    where = "transformers_chat"
    own = read_pretrained(AutoConfig, config.path, where=where)
    sees = type(own) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model = load_model(auto, config.path, config.dtype, where=where)
    reader = AutoProcessor if sees else AutoTokenizer
    processor = read_pretrained(reader, config.path, where=where)
    return TransformersChat(config, model.to(find_device()), processor)
