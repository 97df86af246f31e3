"""CapsBench: what of a picture can be answered from the caption alone (SEA Table 3).

Source: Playground v3 (Liu et al. 2024, arXiv 2409.10695): a grader answers each question from the
caption with yes, no or n/a; the score is the share that it answers as the reference does. The
data set's Parquet files have an image and questions of {question, answer, category} a row. The
paper graded with Claude 3.5 Sonnet; any OpenAI-compatible endpoint does here, and the wording of
the grader's prompt is ours, so figures compare under one grader alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diglot.config.read import expand_home
from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.items import Item
from diglot.evaluate.questions import DETAILED
from diglot.evaluate.task import AskConfig, Scores, Task, Way
from diglot.synth.annotator import Question
from diglot.synth.annotators import openai_endpoint

GRADE = (
    "Here is the caption of a picture that you cannot see:\n{}\n\nAnswer the question from the "
    "caption alone with yes, no, or n/a where the caption does not state it.\nQuestion: {}"
)


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Captions, graded by a chat model."""

    path: str = ""
    """A Parquet file of the data set, or the folder of several."""
    grader_url: str = ""
    """The endpoint that grades, up to /v1; its key is in OPENAI_API_KEY."""
    grader_model: str = ""
    """The grader's model name."""
    ways: tuple[Way, ...] = ("generate",)
    """generate: captions have no candidates."""
    max_tokens: int = 256
    """Longest caption."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expand_home(self, "path")
        if not self.grader_url or not self.grader_model:
            raise ConfigError(
                "captions of CapsBench are graded by a chat model, and none is named",
                fix="Give options: {capsbench: {grader_url: http://HOST/v1, grader_model: NAME}}.",
                where="options.capsbench",
            )


class CapsQuestion(BaseModel):
    """One question of a row."""

    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    category: str = ""


class Grade(BaseModel):
    """What the grader answers."""

    answer: Literal["yes", "no", "n/a"]


def build(config: Config) -> Task:
    """The share of questions that the caption answers rightly, in [0, 1]."""
    pictures: dict[str, bytes] = {}
    return Task(
        title="CapsBench",
        what=f"Which of the picture's questions does its caption answer? By {config.grader_model}.",
        make=lambda scenes, generator: _make_items(Path(config.path), pictures),
        scorer=lambda items, answers: grade_captions(items, answers, config),
        asked=config,
        needs_scenes=False,
        picture_of=lambda item: pictures[item.scene],
    )


def _make_items(path: Path, pictures: dict[str, bytes]) -> Iterator[Item]:
    for number, row in enumerate(read_rows(path)):
        pictures[str(number)] = row["image"]
        yield Item(
            id=str(number),
            task="",
            question=DETAILED,
            scene=str(number),
            truth={"questions": [asked.model_dump() for asked in row["questions"]]},
        )


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of image (bytes) and questions. Raises ConfigError or DataError for other files."""
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigError("no CapsBench here", expected="its Parquet files", where=str(path))
    for file in files:
        try:
            rows = pq.read_table(file, columns=["image", "questions"]).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"not a file of CapsBench: {error}", where=str(file)) from error
        for number, row in enumerate(rows):
            where = f"{file}, row {number}"
            try:
                image, asked = (
                    row["image"]["bytes"],
                    [CapsQuestion(**one) for one in row["questions"]],
                )
            except (TypeError, KeyError, ValidationError) as error:
                raise DataError(f"not a row of CapsBench: {error}", where=where) from error
            if not image or not asked:
                raise DataError("a row without image or questions", where=where)
            yield {"image": image, "questions": asked}


def grade_captions(items: Sequence[Item], answers: Sequence[str], config: Config) -> Scores:
    """Of every caption the share of its questions that the grader answers as the reference does.

    Raises ConfigError where the endpoint cannot be used, DataError for a question that it never
    answers: a score without it would be of other questions.
    """
    asked = [
        (number, one)
        for number, item in enumerate(items)
        for one in item.truth["questions"]
        if answers[number].strip()
    ]
    endpoint = openai_endpoint.build(
        openai_endpoint.Config(model=config.grader_model, base_url=config.grader_url)
    )
    prompts = [
        Question(prompt=GRADE.format(answers[number], one["question"]), schema=Grade)
        for number, one in asked
    ]
    right = [0] * len(items)
    for (number, one), grade in zip(asked, endpoint.answer_questions(prompts), strict=True):
        if isinstance(grade, DataError):
            raise DataError(
                f"the grader does not answer: {grade}", where=f"item {items[number].id!r}"
            )
        right[number] += Grade.model_validate_json(grade).answer == one["answer"].strip().lower()
    counts = [len(item.truth["questions"]) for item in items]
    return {"accuracy": [hits / count for hits, count in zip(right, counts, strict=True)]}
