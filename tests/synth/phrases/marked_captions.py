"""The hand-marked captions: what is read from the file, and how the matcher does on them."""

import re
from dataclasses import dataclass
from pathlib import Path

from diglot.core.types import Span
from diglot.synth.phrases.assign import WantedPhrase, assign_spans

FILE = Path(__file__).with_name("captions_with_spans.txt")


@dataclass(frozen=True)
class Marked:
    section: str
    caption: str
    mentions: tuple[WantedPhrase, ...]
    spans: tuple[Span | None, ...]


def read_marked() -> list[Marked]:
    section, found = "", []
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif " ||| " in line and not line.startswith("# "):
            found.append(_parse(section, line.replace("\\n", "\n")))
    return found


def _parse(section: str, line: str) -> Marked:
    marked, _, listed = line.partition(" ||| ")
    mentions = tuple(_mention(text.strip()) for text in listed.split(";"))
    caption, spans = _unmark(marked)
    assert set(spans) <= set(range(1, len(mentions) + 1)), line
    return Marked(section, caption, mentions, tuple(map(spans.get, range(1, len(mentions) + 1))))


def _mention(text: str) -> WantedPhrase:
    phrase, _, number = text.partition("#")
    return WantedPhrase(phrase, int(number) if number else None)


def _unmark(marked: str) -> tuple[str, dict[int, Span]]:
    caption, spans, opened = "", {}, []
    for piece in re.split(r"(\[\d+:|[\[\]])", marked):
        if re.fullmatch(r"\[\d+:", piece):
            opened.append((int(piece[1:-1]), len(caption)))
        elif piece == "]" and opened and opened[-1][0]:
            number, start = opened.pop()
            spans[number] = (start, len(caption))
        else:
            opened += [(0, 0)] if piece == "[" else []
            if piece == "]" and opened:
                opened.pop()
            caption += piece
    return caption, spans


@dataclass(frozen=True)
class Quality:
    """Of spans given, the share that is right; of spans that are there, the share found."""

    right: int
    given: int
    there: int
    mistakes: tuple[str, ...]

    @property
    def precision(self) -> float:
        return self.right / self.given

    @property
    def recall(self) -> float:
        return self.right / self.there


def measure_spans(marked: list[Marked]) -> Quality:
    right = given = there = 0
    mistakes = []
    for line in marked:
        for mention, want, got in zip(
            line.mentions, line.spans, assign_spans(line.caption, line.mentions), strict=True
        ):
            right += got is not None and got == want
            given += got is not None
            there += want is not None
            if got != want:
                shown = got and line.caption[slice(*got)]
                mistakes.append(
                    f"{line.caption!r}: {mention.text!r} at {got} ({shown}), not {want}"
                )
    return Quality(right, given, there, tuple(mistakes))
