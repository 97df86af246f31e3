"""What a page of answers is made of, checked once, as frozen records."""

from collections.abc import Mapping
from typing import Any

from pydantic import AliasPath, Field, ValidationInfo, field_validator

from diglot.report.fields import (
    Count,
    Finite,
    ImageUri,
    Number,
    Record,
    Text,
    check_length,
    read_record,
)
from diglot.report.schema import MeasureByRun, RunNames


class AnswerText(Record):
    """One checkpoint's answer, and its score in [0, 1]; None where it has none."""

    text: Text
    score: Number


class AnsweredQuestion(Record):
    """A question, what is right, and the answers in the order of the runs."""

    id: Text
    task: Text
    way: Text
    question: Text
    right: Text
    candidates: tuple[Text, ...]
    answers: tuple[AnswerText, ...]

    @field_validator("answers")
    @classmethod
    def check_answers(
        cls, answers: tuple[AnswerText, ...], info: ValidationInfo
    ) -> tuple[AnswerText, ...]:
        """One a run."""
        check_length(answers, len(info.context or answers))
        return answers


class PictureQuestions(Record):
    """A picture, if there is one, with what is asked about it."""

    picture: ImageUri | None = None
    questions: tuple[AnsweredQuestion, ...]


class PairTest(Record):
    """Two runs on one metric: the mean difference, its interval, and p."""

    first: Text
    second: Text
    key: Text
    value: Finite = Field(validation_alias=AliasPath("difference", "value"))
    low: Number = Field(validation_alias=AliasPath("difference", "low"))
    high: Number = Field(validation_alias=AliasPath("difference", "high"))
    n: Count = Field(validation_alias=AliasPath("difference", "n"))
    p: Finite


class AnswersPage(RunNames):
    """The scores, the tests, and every question."""

    title: Text
    created: Text
    data: Text
    measures: tuple[MeasureByRun, ...]
    pairs: tuple[PairTest, ...]
    pictures: tuple[PictureQuestions, ...]


def read_answers_page(data: Mapping[str, Any], *, where: str = "page") -> AnswersPage:
    """The page in `data`. Raises DataError naming the first field that cannot be used."""
    runs = read_record(RunNames, data, where=where).runs
    return read_record(AnswersPage, data, where=where, runs=runs)
