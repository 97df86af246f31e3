"""Step: text that stands in the image becomes regions whose words stand in the caption.

MMCS names scene text and charts as its limit; this step is ours. What an OCR model reads, in its
order, is written behind the caption ("A sign that says "OPEN"."), so each region has its words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from diglot.config.ranges import ClosedUnitInterval, PositiveInt
from diglot.core.types import Box, Lineage, Region
from diglot.synth.annotator import Part, ReadWord, WordReader, build_annotator, lineage_of
from diglot.synth.step import Draft, Dropped, LostRegion, work_in_batches
from diglot.synth.steps.boxes import clip_box


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step."""

    annotator: Part = "rapidocr"
    """What reads."""
    unit: Literal["line", "word"] = "line"
    """A region for each line, or for each word."""
    first: str = "Text that says"
    """What stands before the first text; the others follow after commas."""
    min_score: ClosedUnitInterval = 0.6
    """Text read with a lower score is removed. In no paper."""
    max_texts: PositiveInt = 24
    """At most so many, the first in reading order."""
    batch: PositiveInt = 4
    """Images at a time."""


class TextStep:
    """The text of each image, behind its caption, with a region for each piece."""

    def __init__(self, config: Config, reader: WordReader, lineage: Lineage) -> None:
        self._config, self._reader, self.lineage = config, reader, lineage

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts with what was read; an image without text stays as it was."""
        return work_in_batches(drafts, self._read, size=self._config.batch)

    def _read(self, batch: list[Draft]) -> list[Draft | Dropped]:
        found = self._reader.read_words([draft.picture for draft in batch])
        return [self._finish(d, words) for d, words in zip(batch, found, strict=True)]

    def _finish(self, draft: Draft, words: Sequence[ReadWord]) -> Draft:
        pieces = [w for w in self._pieces(words) if w.text.strip()]
        kept, lost = [], []
        for piece in pieces:
            box = clip_box(piece.box, draft.sample.size_hw, slack_px=8.0)
            reason = box if isinstance(box, str) else self._why_removed(piece, len(kept))
            if isinstance(box, str) or reason:
                lost.append(LostRegion(reason=str(reason), phrase=piece.text, box=piece.box))
            else:
                kept.append((piece, box))
        return self._write(draft, kept, lost)

    def _why_removed(self, piece: ReadWord, count: int) -> str:
        if piece.score < self._config.min_score:
            return "the text was read with a low score"
        return "more text than max_texts" if count >= self._config.max_texts else ""

    def _pieces(self, words: Sequence[ReadWord]) -> list[ReadWord]:
        if self._config.unit == "word":
            return list(words)
        return [_join_words(list(line)) for _, line in groupby(words, lambda word: word.line)]

    def _write(
        self, draft: Draft, pieces: Sequence[tuple[ReadWord, Box]], lost: list[LostRegion]
    ) -> Draft:
        caption = draft.sample.caption.rstrip()
        regions = list(draft.sample.regions)
        for index, (piece, box) in enumerate(pieces):
            lead = f" {self._config.first} " if caption else f"{self._config.first} "
            caption += (", " if index else lead) + '"'
            text = " ".join(piece.text.split())
            span = (len(caption), len(caption) + len(text))
            caption += text + '"'
            regions.append(self._region(text, span, box, piece.score))
        caption += "." if pieces else ""
        changed = draft.with_sample(caption=caption, regions=())
        return changed.keep_regions(regions, lost)

    def _region(self, text: str, span: tuple[int, int], box: Box, score: float) -> Region:
        source = f"{self._reader.model}@{self._reader.revision}"
        return Region(phrase=text, span=span, box=box, label="text", score=score, source=source)


def _join_words(words: list[ReadWord]) -> ReadWord:
    """A line: its words with spaces, the box around them, the least score."""
    x0, y0, x1, y1 = zip(*(word.box for word in words), strict=True)
    box = (min(x0), min(y0), max(x1), max(y1))
    text = " ".join(word.text for word in words)
    score = min(word.score for word in words)
    return ReadWord(text=text, box=box, score=score, line=words[0].line)


def build(config: Config) -> TextStep:
    """The step with its annotator."""
    reader = build_annotator(config.annotator, needs=("read_words",), where="text")
    return TextStep(config, reader, lineage_of("text", reader))
