"""Recognize Anything (RAM, RAM++) from your own checkout: it is in no package.

Zhang et al. 2024 (arXiv 2306.03514); PAD's tagger. The checkout's code runs: name one you trust.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from diglot.config.ranges import ImagePx
from diglot.core.errors import ConfigError, DataError
from diglot.files import file_sha256
from diglot.synth.annotator import Question
from diglot.synth.device import find_device


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the tagger."""

    checkout: str
    """Folder of the checkout of recognize-anything, which holds the package `ram`."""
    weights: str
    """The .pth file that belongs to it."""
    builder: str = "ram_plus"
    """Function of `ram.models` that builds the model: ram or ram_plus."""
    image_px: ImagePx = 384
    """Side of the picture as the model reads it."""


class Ram:
    """Tags, whatever the question says."""

    def __init__(self, config: Config, model: Any, transform: Any, infer: Any) -> None:
        self._model, self._transform, self._infer = model, transform, infer
        self.model = config.builder
        self.revision = file_sha256(Path(config.weights))[:16]

    @torch.inference_mode()
    def answer_questions(self, questions: Sequence[Question]) -> list[str | DataError]:
        """The tags of each picture as {"tags": [...]}."""
        return [self._tag(question) for question in questions]

    def _tag(self, question: Question) -> str | DataError:
        if question.picture is None:
            return DataError("there is no picture to tag")
        pixels_1CHW = self._transform(question.picture)[None].to(find_device())
        english = self._infer(pixels_1CHW, self._model)[0]  # "dog | red hat"
        return json.dumps({"tags": [tag.strip() for tag in english.split("|") if tag.strip()]})


def build(config: Config) -> Ram:
    """The tagger on this worker's device. Raises ConfigError where the checkout does not fit."""
    for path in (config.checkout, config.weights):
        if not Path(path).exists():
            raise ConfigError("no such file or folder", got=path, where="ram")
    sys.path.insert(0, config.checkout)
    try:
        ram = importlib.import_module("ram")
        builder = getattr(importlib.import_module("ram.models"), config.builder)
        model = builder(pretrained=config.weights, image_size=config.image_px, vit="swin_l")
        transform, infer = ram.get_transform(image_size=config.image_px), ram.inference_ram
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"the checkout is not one of recognize-anything ({error})", where=config.checkout
        ) from error
    finally:
        sys.path.remove(config.checkout)
    return Ram(config, model.eval().to(find_device()), transform, infer)
