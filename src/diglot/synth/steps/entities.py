"""Step: the phrases of the caption that name objects, with their attributes.

MMCS section 3.3: Qwen2.5-72B-Instruct lists noun phrases with brief attributes. Here an answering
model is asked for phrases copied verbatim, each with its occurrence, or noun phrases are parsed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, Field

from diglot.config.ranges import PositiveInt
from diglot.core.errors import DataError
from diglot.core.types import Lineage
from diglot.synth.annotator import (
    Answerer,
    Part,
    PhraseFinder,
    Question,
    build_annotator,
    lineage_of,
)
from diglot.synth.phrase_filter import PhraseFilter
from diglot.synth.prompt_files import PromptText, read_prompt
from diglot.synth.step import Draft, Dropped, Phrase, work_in_batches


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    annotator: Part
    """What finds them: openai_endpoint, transformers_chat, spacy_phrases."""
    prompt: str = "entities"
    """A bundled prompt, or a text file with {caption}; for annotators that are asked."""
    not_objects: str = "not_objects"
    """A bundled list, or a text file, of words that name no object: a phrase that ends with one, or
    is one, is left out; phrases behind a word of its [negations] too. "" = none."""
    batch: PositiveInt = 16
    """Captions at a time."""


class Entity(BaseModel):
    """One entity of an answer."""

    phrase: str
    occurrence: int | None = None


class Entities(BaseModel):
    """The answer that is asked for."""

    entities: list[Entity] = Field(max_length=200)


class EntitiesStep:
    """Phrases of each caption, by `annotator`."""

    def __init__(
        self, config: Config, finder: "AskingFinder | ParsingFinder", lineage: Lineage
    ) -> None:
        self._config, self._finder, self.lineage = config, finder, lineage
        self._filter = PhraseFilter.read(config.not_objects, where="entities.not_objects")

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts with their phrases; one without a caption keeps none."""
        return work_in_batches(drafts, self._find, size=self._config.batch)

    def _find(self, batch: list[Draft]) -> list[Draft | Dropped]:
        captions = [draft.sample.caption for draft in batch]
        found = self._finder.find(captions)
        return [self._finish(d, phrases) for d, phrases in zip(batch, found, strict=True)]

    def _finish(self, draft: Draft, phrases: list[Phrase] | DataError) -> Draft | Dropped:
        if isinstance(phrases, DataError):
            return Dropped.from_error(draft.sample.id, phrases)
        caption = draft.sample.caption
        kept = tuple(p for p in phrases if self._filter.is_object(p, caption))
        return replace(draft, phrases=kept)


class AskingFinder:
    """Phrases by a question to a model for each caption."""

    def __init__(self, answerer: Answerer, prompt: PromptText) -> None:
        self._answerer, self._prompt = answerer, prompt

    def find(self, captions: Sequence[str]) -> list[list[Phrase] | DataError]:
        """The phrases of each caption, in the order the model lists them."""
        questions = [
            Question(prompt=self._prompt.fill(caption=text), schema=Entities) for text in captions
        ]
        answers = self._answerer.answer_questions(questions)
        return [a if isinstance(a, DataError) else _read_listed(a) for a in answers]


def _read_listed(answer: str) -> list[Phrase]:
    entities = Entities.model_validate_json(answer).entities
    return [
        Phrase(text=e.phrase.strip(), occurrence=e.occurrence) for e in entities if e.phrase.strip()
    ]


class ParsingFinder:
    """Noun phrases of a parser, which knows where they stand."""

    def __init__(self, finder: PhraseFinder) -> None:
        self._finder = finder

    def find(self, captions: Sequence[str]) -> list[list[Phrase] | DataError]:
        """The noun phrases of each caption, left to right."""
        found = self._finder.find_phrases(captions)
        return [
            [Phrase(text=text[start:end], span=(start, end)) for start, end in spans]
            for text, spans in zip(captions, found, strict=True)
        ]


def build(config: Config) -> EntitiesStep:
    """The step with its annotator."""
    needs = ("find_phrases", "answer_questions")
    annotator = build_annotator(config.annotator, needs=needs, where="entities")
    if hasattr(annotator, "find_phrases"):
        return EntitiesStep(config, ParsingFinder(annotator), lineage_of("entities", annotator))
    prompt = read_prompt(config.prompt)
    lineage = lineage_of("entities", annotator, prompt=prompt.digest)
    return EntitiesStep(config, AskingFinder(annotator, prompt), lineage)
