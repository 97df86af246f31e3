"""Questions with a few choices from a local file, without pictures: what language is retained.

Source: MMLU (Hendrycks et al. 2021, arXiv 2009.03300) as lm-evaluation-harness asks it: the
subject's description, solved examples, the question with its choices, and "Answer:", behind which
the letters' likelihoods are compared. SEA Fig. 3a measures it before, during and after fine-tuning.
Small language models do not follow letters: they are asked as that harness's mmlu_continuation
asks, without the choices, whose own likelihoods are compared.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diglot.config.read import expand_home
from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.items import Item
from diglot.evaluate.task import AskConfig, Task, Way

LETTERS = "ABCDEFGHIJ"
MOST_BYTES = 512 * 2**20
ABOUT = {
    "letters": "The following are multiple choice questions (with answers)",
    "texts": "The following are questions (with answers)",
}

Compared = Literal["letters", "texts"]


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """MMLU's format: a line question,A,B,C,D,letter of CSV, or JSON with question, choices, answer.

    JSON is a list, or one object a line; `answer` is an index or a letter, `subject` may stand.
    """

    path: str = ""
    """The file with the questions: .csv, .json or .jsonl."""
    examples: str = ""
    """A file of solved questions, of the same format."""
    compare: Compared = "letters"
    """letters: the choices stand in the question, and A, B, C, D are compared, as in MMLU; texts:
    they do not, and the choices themselves are compared, as in mmlu_continuation."""
    shots: int = 0
    """So many examples, of the question's subject, stand before a question."""
    ways: tuple[Way, ...] = ("likelihood",)
    """likelihood, generate (the letter written), or both."""
    limit: int = 20_000
    """At most so many questions, drawn at random."""
    max_tokens: int = 4
    """Longest written answer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expand_home(self, "path", "examples")
        if self.shots < 0 or (self.shots and not self.examples):
            raise ConfigError("shots need a file of examples", got=self.shots, where="shots")


class ChoiceQuestion(BaseModel):
    """One question of a file."""

    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    choices: list[str] = Field(min_length=2, max_length=len(LETTERS))
    answer: int | str
    subject: str = ""

    @property
    def letter(self) -> str:
        """The right choice. Raises ValueError where there is none of that name."""
        text = str(self.answer).strip().upper()
        at = int(text) if text.isdigit() else LETTERS.index(text)
        if at >= len(self.choices):
            raise ValueError(f"answer {self.answer!r} of {len(self.choices)} choices")
        return LETTERS[at]


def build(config: Config) -> Task:
    """Accuracy by the likelihood of the letters, or of the choices themselves."""
    asked = "mmlu" if config.compare == "letters" else "mmlu_continuation"
    return Task(
        title="Multiple choice",
        what="Which of the choices is right? Asked as plain text, as lm-evaluation-harness asks "
        f"{asked}, with {config.shots} solved examples; no picture.",
        make=lambda scenes, generator: _make_items(config),
        scorer="score_choice",
        asked=config,
        needs_scenes=False,
    )


def _make_items(config: Config) -> Iterator[Item]:
    if not config.path:
        raise ConfigError("no file of questions", where="options.multiple_choice.path")
    examples = read_choices(Path(config.examples)) if config.shots else []
    for number, choice in enumerate(read_choices(Path(config.path))):
        solved = [e for e in examples if e.subject == choice.subject][: config.shots]
        right = _name_answer(choice, config.compare)
        candidates = {
            "letters": LETTERS[: len(choice.choices)],
            "texts": [text.strip() for text in choice.choices],
        }[config.compare]
        yield Item(
            id=str(number),
            task="",
            question=write_question(choice, solved, compare=config.compare),
            answer=right,
            group=choice.subject,
            candidates=tuple(candidates),
            right=tuple(candidate == right for candidate in candidates),
            plain=True,
        )


def write_question(
    choice: ChoiceQuestion,
    solved: Sequence[ChoiceQuestion] = (),
    *,
    compare: Compared = "letters",
) -> str:
    """The whole text before the letter, or before the choice."""
    subject = f" about {' '.join(choice.subject.split('_'))}" if choice.subject else ""
    blocks = [f"{_format_choice(e, compare)} {_name_answer(e, compare)}" for e in solved]
    return "\n\n".join([f"{ABOUT[compare]}{subject}.", *blocks, _format_choice(choice, compare)])


def _format_choice(choice: ChoiceQuestion, compare: Compared) -> str:
    question = choice.question.strip()
    if compare == "texts":
        return f"Question: {question}\nAnswer:"
    lines = [f"{a}. {text}" for a, text in zip(LETTERS, choice.choices, strict=False)]
    return "\n".join([question, *lines, "Answer:"])


def _name_answer(choice: ChoiceQuestion, compare: Compared) -> str:
    if compare == "letters":
        return choice.letter
    return choice.choices[LETTERS.index(choice.letter)].strip()


def read_choices(path: Path) -> list[ChoiceQuestion]:
    """The questions of a file. Raises ConfigError or DataError naming the file and the question."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError("too large a file", expected="512 MB at most", where=str(path))
        rows = _read_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise ConfigError(f"cannot read the questions: {error}", where=str(path)) from error
    return [_read_choice(row, f"{path}, question {n}") for n, row in enumerate(rows, start=1)]


def _read_rows(path: Path) -> list[Any]:
    text = path.read_text("utf-8-sig")
    if path.suffix == ".csv":
        lines = [line for line in csv.reader(text.splitlines(keepends=True)) if line]
        return [
            {"question": line[0], "choices": line[1:-1], "answer": line[-1], "subject": ""}
            for line in lines
        ]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    content = json.loads(text)
    if not isinstance(content, list):
        raise DataError("not a list of questions", where=str(path))
    return content


def _read_choice(row: Any, where: str) -> ChoiceQuestion:
    try:
        choice = ChoiceQuestion.model_validate(row)
        _ = choice.letter
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{place}: {first['msg']}", where=where) from error
    except ValueError as error:
        raise DataError(f"no such answer: {error}", where=where) from error
    return choice
