"""What annotators offer the steps: detections, masks, answers, noun phrases, read words.

An annotator is a part in `annotators/`: a `Config` and `build(config)`. It gets pictures and gives
plain values; an entry that is a DataError says that this one image could not be annotated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image
from pydantic import BaseModel

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Lineage, Span
from diglot.synth.step import Draft

PACKAGE = "diglot.synth.annotators"
Part = str | dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """An object found: xyxy px of the picture. `phrase`: index of the phrase asked for, or None."""

    box: tuple[float, float, float, float]
    score: float
    label: str
    phrase: int | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a model is asked about a picture, or about text alone; `schema` is what must come."""

    prompt: str
    picture: Image.Image | None = None
    picture_digest: str = ""
    schema: type[BaseModel] | None = None


@dataclass(frozen=True, kw_only=True)
class ReadWord:
    """A word read in a picture: xyxy px, score in [0, 1]; words of a line share its number."""

    text: str
    box: tuple[float, float, float, float]
    score: float
    line: int


class Annotator(Protocol):
    """What all have: the model's name and revision, for the lineage."""

    model: str
    revision: str


class Detector(Annotator, Protocol):
    """Finds objects by phrases; without phrases, those of its own classes, if it has any."""

    def detect_objects(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Detection]]: ...


class Segmenter(Annotator, Protocol):
    """A mask for each box: bool (height, width) of the picture; and how sure it is, in [0, 1]."""

    def segment_boxes(
        self, pictures: Sequence[Image.Image], boxes: Sequence[np.ndarray]
    ) -> list[list[tuple[np.ndarray, float]]]: ...


class Answerer(Annotator, Protocol):
    """Answers questions in text; an answer fits its question's schema, or is a DataError."""

    def answer_questions(self, questions: Sequence[Question]) -> list[str | DataError]: ...


class PhraseFinder(Annotator, Protocol):
    """Finds the noun phrases of captions, as spans in order."""

    def find_phrases(self, captions: Sequence[str]) -> list[list[Span]]: ...


class DraftCaptioner(Annotator, Protocol):
    """Writes captions from what a draft holds already, its regions with their spans."""

    def write_captions(self, drafts: Sequence[Draft]) -> list[Draft | DataError]: ...


class WordReader(Annotator, Protocol):
    """Reads the text in pictures, in reading order."""

    def read_words(self, pictures: Sequence[Image.Image]) -> list[list[ReadWord]]: ...


def build_annotator(part: Part, *, needs: tuple[str, ...], where: str) -> Any:
    """The annotator, built. Raises ConfigError where it offers no method of `needs`."""
    annotator = build_part(PACKAGE, part, where=where)
    if not any(hasattr(annotator, method) for method in needs):
        name = part if isinstance(part, str) else part.get("name")
        raise ConfigError(
            f"the annotator {name!r} cannot do this step's work",
            expected=" or ".join(needs),
            where=where,
        )
    return annotator


def lineage_of(step: str, annotator: Annotator, *, prompt: str = "") -> Lineage:
    """The line of a step that `annotator` did; `prompt`: the prompt's digest."""
    return Lineage(step=step, model=annotator.model, revision=annotator.revision, prompt=prompt)
