"""What a dataset page is made of, checked once, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diglot.report.fields import Field
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
class SampleView:
    """One sample and (step, revision) of whatever made it."""

    scene: Scene
    lineage: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class DatasetPage:
    """A summary, and samples to look at."""

    title: str
    created: str
    note: str  # which samples these are, of how many
    facts: dict[str, str]
    charts: tuple[BarChart, ...]
    rejected: tuple[tuple[str, int], ...]  # reason and count of records set aside earlier
    unusable: tuple[tuple[str, str], ...]  # id and reason of samples that failed just now
    samples: tuple[SampleView, ...]


def read_dataset_page(data: Mapping[str, Any], *, where: str = "page") -> DatasetPage:
    """The page in `data`. Raises DataError naming the first field that cannot be used."""
    root = Field(data, where)
    return DatasetPage(
        title=root.at("title").text(),
        created=root.at("created").text(),
        note=root.at("note").text(),
        facts=root.at("facts").text_map(),
        charts=tuple(_read_chart(f) for f in root.at("charts").items()),
        rejected=tuple(_read_bar(f) for f in root.at("rejected").items()),
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


def _read_pair(field: Field) -> tuple[str, str]:
    one, other = field.items(length=2)
    return one.text(), other.text()


def _read_sample(field: Field) -> SampleView:
    made = field.at("lineage").items()
    return SampleView(
        scene=read_scene(field),
        lineage=tuple((f.at("step").text(), f.at("revision").text()) for f in made),
    )
