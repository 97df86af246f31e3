"""Step: tags, the names of what can be seen, whatever the caption says.

Patch-aligned section 4 (PAD): RAM writes the tags. RAM is in no package: `annotator: {name: ram}`
loads your own checkout; else a model is asked by `prompts/tags.txt`, and the lineage says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import BaseModel, Field

from diglot.config.ranges import PositiveInt
from diglot.core.errors import DataError
from diglot.core.types import Lineage
from diglot.synth.annotator import Answerer, Part, Question, build_annotator, lineage_of
from diglot.synth.prompt_files import PromptText, read_prompt
from diglot.synth.step import Draft, Dropped, Phrase, work_in_batches
from diglot.synth.steps.caption import picture_digest


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    annotator: Part
    """What writes them: ram, openai_endpoint, transformers_chat."""
    prompt: str = "tags"
    """A bundled prompt, or a text file; for annotators that are asked."""
    batch: PositiveInt = 8
    """Images at a time."""


class Tags(BaseModel):
    """The answer that is asked for."""

    tags: list[str] = Field(max_length=200)


class TagsStep:
    """Tags as phrases, each once, lower case, by `annotator`."""

    def __init__(
        self, config: Config, answerer: Answerer, lineage: Lineage, prompt: PromptText
    ) -> None:
        self._config, self._answerer = config, answerer
        self._prompt, self.lineage = prompt, lineage

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts whose phrases are their tags."""
        return work_in_batches(drafts, self._tag, size=self._config.batch)

    def _tag(self, batch: list[Draft]) -> list[Draft | Dropped]:
        questions = [
            Question(
                prompt=self._prompt.text,
                picture=draft.picture,
                picture_digest=picture_digest(draft),
                schema=Tags,
            )
            for draft in batch
        ]
        answers = self._answerer.answer_questions(questions)
        return [_finish_draft(d, answer) for d, answer in zip(batch, answers, strict=True)]


def _finish_draft(draft: Draft, answer: str | DataError) -> Draft | Dropped:
    if isinstance(answer, DataError):
        return Dropped.from_error(draft.sample.id, answer)
    tags = [" ".join(tag.lower().split()) for tag in Tags.model_validate_json(answer).tags]
    phrases = tuple(Phrase(text=tag) for tag in dict.fromkeys(tags) if tag)
    return replace(draft, phrases=phrases)


def build(config: Config) -> TagsStep:
    """The step with its annotator."""
    annotator = build_annotator(config.annotator, needs=("answer_questions",), where="tags")
    prompt = read_prompt(config.prompt)
    lineage = lineage_of("tags", annotator, prompt=prompt.digest)
    return TagsStep(config, annotator, lineage, prompt)
