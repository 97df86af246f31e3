"""Getting JSON that fits a schema out of what a model wrote, and keeping answers on disk."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from diglot.core.errors import DataError
from diglot.files import replace_text

SHOWN_CHARS = 300
REASONING, REASONING_END = "<think>", "</think>"


def fit_schema(text: str, schema: type[BaseModel] | None) -> str:
    """What follows the model's reasoning; with a schema the first JSON object in it that fits.

    Raises DataError that shows what came.
    """
    text = _behind_reasoning(text)
    if schema is None:
        if not text.strip():
            raise DataError("the answer is empty")
        return text.strip()
    reason = "no JSON object in it"
    for value in _objects_in(text):
        try:
            return schema.model_validate(value).model_dump_json()
        except ValidationError as error:
            reason = "; ".join(f"{e['loc']}: {e['msg']}" for e in error.errors()[:3])
    raise DataError(
        "the answer does not fit its schema",
        expected=", ".join(schema.model_fields),
        got=f"{shorten_text(text)} ({reason})",
    )


def _behind_reasoning(text: str) -> str:
    """The answer of a model whose server leaves its reasoning in the text, begun by its prompt or
    by itself. Raises DataError where there is no more than that.
    """
    reasoning, end, answer = text.rpartition(REASONING_END)
    if end and answer.strip():
        return answer
    if end or text.lstrip().startswith(REASONING):
        raise DataError(
            "the answer is reasoning alone",
            got=shorten_text(reasoning or text),
            fix="Turn reasoning off (extra: {chat_template_kwargs: {enable_thinking: false}}), or "
            "allow more max_tokens.",
        )
    return text


def _objects_in(text: str) -> Iterator[Any]:
    """Every JSON object that begins at a brace of `text`, outermost first."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            yield value
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)


def shorten_text(text: str) -> str:
    """`text` for a message: one line, not too long."""
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}...")


def cut_error(text: str) -> DataError:
    """The rejection of an answer that its longest length cut off."""
    return DataError(
        "the answer was cut at max_tokens",
        got=shorten_text(text),
        fix="Allow more max_tokens, or ask for less by the prompt.",
    )


class AnswerCache:
    """Answers by what was asked, a file each: none is asked for, or paid for, twice.

    The folder is the run's cache (see SynthConfig.cache); without a run nothing is kept.
    """

    def __init__(self, model: str) -> None:
        folder = os.environ.get("DIGLOT_SYNTH_CACHE")
        name = hashlib.sha256(model.encode()).hexdigest()[:16]
        self._folder = Path(folder) / "answers" / name if folder else None

    def path_of(self, asked: Mapping[str, Any]) -> Path | None:
        """Where the answer to `asked` is kept; `asked` is all that the answer depends on."""
        if self._folder is None:
            return None
        text = json.dumps(asked, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / key[:2] / f"{key}.json"

    def read(self, asked: Mapping[str, Any]) -> str | None:
        """The answer, or None where there is none yet."""
        path = self.path_of(asked)
        if path is None or not path.is_file():
            return None
        return json.loads(path.read_text("utf-8"))["answer"]

    def write(self, asked: Mapping[str, Any], answer: str) -> None:
        """Keep an answer, whole or not at all."""
        path = self.path_of(asked)
        if path is not None:
            replace_text(path, json.dumps({"asked": dict(asked), "answer": answer}) + "\n")
