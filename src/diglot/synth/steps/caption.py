"""Step: a caption for every image, by a model that is asked, or written from the regions found.

MMCS section 3.3: Qwen3-VL-32B-Instruct describes the attributes of all visible elements. The words
of the prompt are in no paper; ours is `prompts/caption.txt`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from diglot.config.ranges import PositiveInt
from diglot.core.errors import DataError
from diglot.core.types import Lineage
from diglot.synth.annotator import (
    Answerer,
    DraftCaptioner,
    Part,
    Question,
    build_annotator,
    lineage_of,
)
from diglot.synth.prompt_files import read_prompt
from diglot.synth.step import Draft, Dropped, work_in_batches


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    annotator: Part
    """What writes the captions: transformers_chat, openai_endpoint, detections_caption."""
    prompt: str = "caption"
    """A bundled prompt, or a text file."""
    only_missing: bool = False
    """Leave captions alone that are there already."""
    batch: PositiveInt = 8
    """Images at a time."""


class CaptionStep:
    """Has an annotator write captions; an image whose caption comes out empty is dropped."""

    def __init__(self, config: Config, writer: DraftCaptioner, lineage: Lineage) -> None:
        self._config, self._writer, self.lineage = config, writer, lineage

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts with their captions."""
        return work_in_batches(drafts, self._write, size=self._config.batch)

    def _write(self, batch: list[Draft]) -> list[Draft | Dropped]:
        asked = [d for d in batch if not (self._config.only_missing and d.sample.caption.strip())]
        written = iter(self._writer.write_captions(asked) if asked else [])
        waiting = {id(draft) for draft in asked}
        return [
            self._finish(d, next(written)) if id(d) in waiting else _leave_caption(d) for d in batch
        ]

    def _finish(self, draft: Draft, written: Draft | DataError) -> Draft | Dropped:
        if isinstance(written, DataError):
            return Dropped.from_error(draft.sample.id, written)
        if not written.sample.caption.strip():
            return Dropped(id=draft.sample.id, reason="the caption is empty")
        return written.with_sample(lineage=(*written.sample.lineage, self.lineage))


def _leave_caption(draft: Draft) -> Draft:
    line = Lineage(step="caption", model="given", revision="left as it was")
    return draft.with_sample(lineage=(*draft.sample.lineage, line))


class AskingCaptioner:
    """Captions by a question to a model for each picture."""

    def __init__(self, answerer: Answerer, prompt: str) -> None:
        self._answerer, self._prompt = answerer, prompt
        self.model, self.revision = answerer.model, answerer.revision

    def write_captions(self, drafts: Sequence[Draft]) -> list[Draft | DataError]:
        """Each draft with its caption; regions that stood in the old one lose their spans."""
        questions = [
            Question(prompt=self._prompt, picture=d.picture, picture_digest=picture_digest(d))
            for d in drafts
        ]
        answers = self._answerer.answer_questions(questions)
        return [
            answer if isinstance(answer, DataError) else _with_caption(draft, answer)
            for draft, answer in zip(drafts, answers, strict=True)
        ]


def _with_caption(draft: Draft, answer: str) -> Draft:
    regions = tuple(replace(region, span=None) for region in draft.sample.regions)
    return draft.with_sample(caption=" ".join(answer.split()), regions=regions)


def picture_digest(draft: Draft) -> str:
    """SHA-256 of the picture's pixels and size: what a cached answer is kept under."""
    picture = draft.picture
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


def build(config: Config) -> CaptionStep:
    """The step with its annotator. Raises ConfigError where that can write no captions."""
    annotator = build_annotator(
        config.annotator, needs=("answer_questions", "write_captions"), where="caption"
    )
    if hasattr(annotator, "write_captions"):
        return CaptionStep(config, annotator, lineage_of("caption", annotator))
    prompt = read_prompt(config.prompt)
    lineage = lineage_of("caption", annotator, prompt=prompt.digest)
    return CaptionStep(config, AskingCaptioner(annotator, prompt.text), lineage)
