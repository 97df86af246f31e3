"""What is true of a scene whose regions name everything in it: unique phrases, colours, places.

Composed scenes (`diglot scenes`) are such; of other records a thing without a region would be
asked for as absent.
"""

from collections import Counter
from dataclasses import dataclass

from diglot.core.box_text import unit_box
from diglot.core.region import Region
from diglot.core.types import Sample
from diglot.synth.scenes.tint import COLOURS
from diglot.synth.scenes.words import name_place

COLOUR_NAMES = tuple(COLOURS)


@dataclass(frozen=True)
class NamedRegion:
    """A region that one phrase singles out in its scene."""

    phrase: str  # without an article: "small red car", "dog at the top left"
    region: Region

    @property
    def name(self) -> str:
        """Its plain name."""
        return self.region.name

    @property
    def colour(self) -> str | None:
        """The colour that its phrase gives it, where the name itself has none in it."""
        own = set(self.region.name.lower().split())
        words = [w for w in self.region.phrase.lower().split() if w not in own]
        return next((word for word in words if word in COLOUR_NAMES), None)


def is_text(region: Region) -> bool:
    """Whether it is written text of a composed page or chart."""
    return region.source.split("/")[0] in ("words", "charts") and region.source.endswith("/text")


def name_thing(phrase: str, region: Region) -> str:
    """What a question calls it: 'dog at the top left', 'text "coin"'."""
    return f'text "{phrase}"' if is_text(region) else phrase


def single_things(sample: Sample) -> list[NamedRegion]:
    """The regions that a phrase singles out: their own phrase, with the place where it repeats."""
    bare = Counter(region.phrase for region in sample.regions)
    placed = Counter(_describe_region(region, sample) for region in sample.regions)
    things = []
    for region in sample.regions:
        if bare[region.phrase] == 1 and not _is_part(region, sample):
            things.append(NamedRegion(region.phrase, region))
        elif placed[_describe_region(region, sample)] == 1:
            things.append(NamedRegion(_describe_region(region, sample), region))
    return things


def uniquely_named(sample: Sample) -> list[NamedRegion]:
    """The regions whose plain name stands once in the scene, with that name as the phrase."""
    names = Counter(region.name for region in sample.regions)
    return [NamedRegion(r.name, r) for r in sample.regions if names[r.name] == 1]


def center_of(region: Region, sample: Sample) -> tuple[float, float]:
    """The middle of its box (x, y), in shares of the image's sides."""
    x0, y0, x1, y1 = unit_box(region.box, sample.size_hw)
    return (x0 + x1) / 2, (y0 + y1) / 2


def _describe_region(region: Region, sample: Sample) -> str:
    x, y = center_of(region, sample)
    # `place` counts in pixels of a square; a share in thousandths serves any shape
    return f"{region.phrase} {name_place((1000 * x, 1000 * y), 1000)}"


def _is_part(region: Region, sample: Sample) -> bool:
    """Whether the phrase fits another region too: "car" where a "red car" is there as well."""
    words = set(region.phrase.lower().split())
    others = (r for r in sample.regions if r is not region and r.name == region.name)
    return any(words <= set(other.phrase.lower().split()) for other in others)
