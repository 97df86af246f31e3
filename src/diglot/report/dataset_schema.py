"""What a dataset page is made of, checked once, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diglot.report.fields import Box, Field
from diglot.report.scene_schema import Scene, read_scene


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Counts by name; `rest` is the count of what has no bar of its own."""

    title: str
    bars: tuple[tuple[str, int], ...]
    rest: int

    @property
    def most(self) -> int:
        """The longest bar's count, at least 1."""
        return max((count for _, count in self.bars), default=1) or 1


@dataclass(frozen=True, kw_only=True)
class TurnText:
    """One turn of a conversation; spans are (region, start, end), regions counted from 0."""

    role: str
    text: str
    learn: bool
    spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class PatchWords:
    """The words of each patch of the first picture, best first, and the patches' boxes."""

    boxes: tuple[Box, ...]
    words: tuple[tuple[str, ...], ...]
    scores: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, kw_only=True)
class SampleView:
    """One sample: its pictures, caption or turns, and (step, revision) of whatever made it."""

    id: str
    scenes: tuple[Scene, ...]
    turns: tuple[TurnText, ...]
    lineage: tuple[tuple[str, str], ...]
    labels: PatchWords | None
    paired: bool = False
    """Do the pictures show the same points, numbered alike?"""


@dataclass(frozen=True, kw_only=True)
class FunnelStep:
    """How many images came out of a step of synthesis, and what it dropped, by reason."""

    step: str
    images: int
    dropped: tuple[tuple[str, int], ...]  # images
    lost: tuple[tuple[str, int], ...]  # regions


@dataclass(frozen=True, kw_only=True)
class DatasetPage:
    """A summary, and samples to look at."""

    title: str
    created: str
    note: str  # which samples these are, of how many
    facts: dict[str, str]
    charts: tuple[BarChart, ...]
    rejected: tuple[tuple[str, int], ...]  # reason and count of records rejected earlier
    funnel: tuple[FunnelStep, ...]
    unusable: tuple[tuple[str, str], ...]  # id and reason of samples that failed just now
    samples: tuple[SampleView, ...]


def read_dataset_page(data: Mapping[str, Any], *, where: str = "page") -> DatasetPage:
    """The page in `data`. Raises DataError naming the first field that cannot be used."""
    root = Field(data, where)
    funnel = root.find("funnel")
    return DatasetPage(
        title=root.at("title").text(),
        created=root.at("created").text(),
        note=root.at("note").text(),
        facts=root.at("facts").text_map(),
        charts=tuple(_read_chart(f) for f in root.at("charts").items()),
        rejected=tuple(_read_bar(f) for f in root.at("rejected").items()),
        funnel=tuple(_read_step(f) for f in funnel.items()) if funnel else (),
        unusable=tuple(_read_pair(f) for f in root.at("unusable").items()),
        samples=tuple(_read_sample(f) for f in root.at("samples").items()),
    )


def _read_chart(field: Field) -> BarChart:
    return BarChart(
        title=field.at("title").text(),
        bars=tuple(_read_bar(f) for f in field.at("bars").items()),
        rest=field.at("rest").count(),
    )


def _read_bar(field: Field) -> tuple[str, int]:
    text, count = field.items(length=2)
    return text.text(), count.count()


def _read_step(field: Field) -> FunnelStep:
    return FunnelStep(
        step=field.at("step").text(),
        images=field.at("images").count(),
        dropped=tuple(_read_bar(f) for f in field.at("dropped").items()),
        lost=tuple(_read_bar(f) for f in field.at("lost").items()),
    )


def _read_pair(field: Field) -> tuple[str, str]:
    one, other = field.items(length=2)
    return one.text(), other.text()


def _read_sample(field: Field) -> SampleView:
    """A sample; one of a single picture may be a scene itself."""
    made, scenes, turns = field.at("lineage").items(), field.find("scenes"), field.find("turns")
    labels, paired = field.find("labels"), field.find("paired")
    read = tuple(read_scene(f) for f in scenes.items()) if scenes else (read_scene(field),)
    regions = sum(len(scene.regions) for scene in read)
    return SampleView(
        id=field.at("id").text(),
        scenes=read,
        turns=tuple(_read_turn(f, regions) for f in turns.items()) if turns else (),
        lineage=tuple((f.at("step").text(), f.at("revision").text()) for f in made),
        labels=_read_labels(labels) if labels else None,
        paired=paired.flag() if paired else False,
    )


def _read_turn(field: Field, regions: int) -> TurnText:
    text = field.at("text").text()
    spans = tuple(_read_span(f, regions, len(text)) for f in field.at("spans").items())
    role, learn = field.at("role").text(), field.at("learn").flag()
    return TurnText(role=role, text=text, learn=learn, spans=spans)


def _read_span(field: Field, regions: int, length: int) -> tuple[int, int, int]:
    region, start, end = (item.count() for item in field.items(length=3))
    if region >= regions or not start < end <= length:
        raise field.wrong(f"[region below {regions}, start, end) of {length} characters")
    return region, start, end


def _read_labels(field: Field) -> PatchWords:
    boxes = tuple(f.box() for f in field.at("boxes").items())
    words = tuple(f.texts() for f in field.at("words").items(length=len(boxes)))
    rows = zip(field.at("scores").items(length=len(boxes)), words, strict=True)
    scores = tuple(tuple(f.number() for f in row.items(length=len(w))) for row, w in rows)
    return PatchWords(boxes=boxes, words=words, scores=scores)
