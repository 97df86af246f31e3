"""What a page of answers is made of, checked once, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diglot.report.fields import Field
from diglot.report.schema import Measure, read_measure, read_runs


@dataclass(frozen=True, kw_only=True)
class AnswerText:
    """One checkpoint's answer, and its score in [0, 1]; None where it has none."""

    text: str
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, what is right, and the answers in the order of the runs."""

    id: str
    task: str
    way: str
    question: str
    right: str
    candidates: tuple[str, ...]
    answers: tuple[AnswerText, ...]


@dataclass(frozen=True, kw_only=True)
class PictureQuestions:
    """A picture, if there is one, with what is asked about it."""

    picture: str | None
    questions: tuple[Question, ...]


@dataclass(frozen=True, kw_only=True)
class PairTest:
    """Two runs on one metric: the mean difference, its interval, and p."""

    first: str
    second: str
    key: str
    value: float
    low: float | None
    high: float | None
    p: float


@dataclass(frozen=True, kw_only=True)
class AnswersPage:
    """The scores, the tests, and every question."""

    title: str
    created: str
    data: str
    runs: tuple[str, ...]
    measures: tuple[Measure, ...]
    pairs: tuple[PairTest, ...]
    pictures: tuple[PictureQuestions, ...]


def read_answers_page(data: Mapping[str, Any], *, where: str = "page") -> AnswersPage:
    """The page in `data`. Raises DataError naming the first field that cannot be used."""
    root = Field(data, where)
    runs = read_runs(root.at("runs"))
    return AnswersPage(
        title=root.at("title").text(),
        created=root.at("created").text(),
        data=root.at("data").text(),
        runs=runs,
        measures=tuple(read_measure(f, runs) for f in root.at("measures").items()),
        pairs=tuple(_read_pair(f) for f in root.at("pairs").items()),
        pictures=tuple(_read_picture(f, len(runs)) for f in root.at("pictures").items()),
    )


def _read_pair(field: Field) -> PairTest:
    difference = field.at("difference")
    return PairTest(
        first=field.at("first").text(),
        second=field.at("second").text(),
        key=field.at("key").text(),
        value=difference.at("value").finite(),
        low=difference.at("low").number(),
        high=difference.at("high").number(),
        p=field.at("p").finite(),
    )


def _read_picture(field: Field, runs: int) -> PictureQuestions:
    picture = field.find("picture")
    return PictureQuestions(
        picture=picture.image_uri() if picture else None,
        questions=tuple(_read_question(f, runs) for f in field.at("questions").items()),
    )


def _read_question(field: Field, runs: int) -> Question:
    texts = ("id", "task", "way", "question", "right")
    return Question(
        **{name: field.at(name).text() for name in texts},
        candidates=field.at("candidates").texts(),
        answers=tuple(
            AnswerText(text=f.at("text").text(), score=f.at("score").number())
            for f in field.at("answers").items(length=runs)
        ),
    )
