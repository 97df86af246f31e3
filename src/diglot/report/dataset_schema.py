"""What a dataset page is made of, checked once, as frozen records."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import model_validator

from diglot.report.fields import Box, Count, Flag, Misfit, Named, Number, Record, Text, read_record
from diglot.report.scene_schema import Scene


class Bar(NamedTuple):
    """A name and its count."""

    name: Text
    count: Count  # pyright: ignore[reportIncompatibleMethodOverride]  a tuple's has no use here


class BarChart(Record):
    """Counts by name; `rest` is the count of what has no bar of its own."""

    title: Text
    bars: tuple[Bar, ...]
    rest: Count

    @property
    def most(self) -> int:
        """The longest bar's count, at least 1."""
        return max((bar.count for bar in self.bars), default=1) or 1


class TurnText(Record):
    """One turn of a conversation; spans are (region, start, end), regions counted from 0."""

    role: Text
    text: Text
    learn: Flag
    spans: tuple[tuple[Count, Count, Count], ...]


class ShownPatchWords(Record):
    """The words of each patch of the first picture, best first, and the patches' boxes."""

    boxes: tuple[Box, ...]
    words: tuple[tuple[Text, ...], ...]
    scores: tuple[tuple[Number, ...], ...]

    @model_validator(mode="after")
    def check_lengths(self) -> Self:
        """A list of words and one of scores for each patch."""
        words = [len(row) for row in self.words]
        if len(words) != len(self.boxes) or words != [len(row) for row in self.scores]:
            raise ValueError(f"words and scores for each of {len(self.boxes)} boxes")
        return self


class Made(Record):
    """What made a sample, in one step."""

    step: Text
    revision: Text


class SampleView(Record):
    """One sample: its pictures, caption or turns, and whatever made it."""

    id: Text
    scenes: tuple[Scene, ...]
    turns: tuple[TurnText, ...] = ()
    lineage: tuple[Made, ...]
    labels: ShownPatchWords | None = None
    paired: Flag = False
    """Do the pictures show the same points, numbered alike?"""

    @model_validator(mode="before")
    @classmethod
    def take_scene(cls, raw: Any) -> Any:
        """A sample of a single picture may be a scene itself."""
        alone = isinstance(raw, Mapping) and raw.get("scenes") is None
        return {**raw, "scenes": [raw]} if alone else raw

    @model_validator(mode="after")
    def check_spans(self) -> Self:
        """Spans name a region, and lie in their turn's text."""
        regions = sum(len(scene.regions) for scene in self.scenes)
        for number, turn in enumerate(self.turns):
            for region, start, end in turn.spans:
                if region >= regions or not start < end <= len(turn.text):
                    length = len(turn.text)
                    expected = f"[region below {regions}, start, end) of {length} characters"
                    raise Misfit(expected, f".turns[{number}].spans")
        return self


class FunnelStep(Record):
    """How many images came out of a step of synthesis, and what it dropped, by reason."""

    step: Text
    images: Count
    dropped: tuple[Bar, ...]  # images
    lost: tuple[Bar, ...]  # regions


class DatasetPage(Record):
    """A summary, and samples to look at."""

    title: Text
    created: Text
    note: Text  # which samples these are, of how many
    facts: Named[Text]
    charts: tuple[BarChart, ...]
    rejected: tuple[Bar, ...]  # reason and count of records rejected earlier
    funnel: tuple[FunnelStep, ...] = ()
    unusable: tuple[tuple[Text, Text], ...]  # id and reason of samples that failed just now
    samples: tuple[SampleView, ...]


def read_dataset_page(data: Mapping[str, Any], *, where: str = "page") -> DatasetPage:
    """The page in `data`. Raises DataError naming the first field that cannot be used."""
    return read_record(DatasetPage, data, where=where)
