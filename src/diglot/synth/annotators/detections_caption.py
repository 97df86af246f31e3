"""A caption written from the regions that a detector found: plain, and said to be so.

For photographs that come without words, so that the pipeline runs offline. Not a description: it
names what was detected and where, and every region has its span.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from diglot.config.ranges import PositiveInt
from diglot.core.errors import DataError
from diglot.core.types import Region
from diglot.synth.step import Draft

_THIRDS = ("on the left", "in the middle", "on the right")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the writer."""

    max_regions: PositiveInt = 8
    """Names so many regions, the best by score; the others get no span."""


class DetectionsCaption:
    """Captions such as "There is a dog on the left and another dog on the right."."""

    model = "diglot"
    revision = "written from detections"

    def __init__(self, config: Config) -> None:
        self._config = config

    def write_captions(self, drafts: Sequence[Draft]) -> list[Draft | DataError]:
        """Each draft with its caption; a DataError for one in which nothing was detected."""
        return [self._write(draft) for draft in drafts]

    def _write(self, draft: Draft) -> Draft | DataError:
        regions = draft.sample.regions
        if not regions:
            return DataError("nothing was detected that a caption could name")
        best = sorted(range(len(regions)), key=lambda i: -regions[i].score)
        named = sorted(best[: self._config.max_regions], key=lambda i: _center_x(regions[i]))
        caption, spans = _compose_sentence([regions[i] for i in named], draft.sample.size_hw[1])
        written = {i: span for i, span in zip(named, spans, strict=True)}
        return draft.with_sample(
            caption=caption,
            regions=tuple(
                replace(region, phrase=region.name, span=written.get(i))
                for i, region in enumerate(regions)
            ),
        )


def _compose_sentence(regions: Sequence[Region], width: int) -> tuple[str, list[tuple[int, int]]]:
    """The sentence, and the characters of each region's name in it."""
    text, spans, named = "There is ", [], set()
    for index, region in enumerate(regions):
        last = index == len(regions) - 1
        text += "" if index == 0 else (" and " if last else ", ")
        text += _choose_article(region.name, region.name in named)
        spans.append((len(text), len(text) + len(region.name)))
        third = min(int(_center_x(region) * 3 / width), 2)
        text += f"{region.name} {_THIRDS[third]}"
        named.add(region.name)
    return f"{text}.", spans


def _choose_article(name: str, again: bool) -> str:
    if again:
        return "another "
    return "an " if name[:1].lower() in "aeiou" else "a "


def _center_x(region: Region) -> float:
    return (region.box[0] + region.box[2]) / 2


def build(config: Config) -> DetectionsCaption:
    """What writes a caption from the regions that a detector found."""
    return DetectionsCaption(config)
