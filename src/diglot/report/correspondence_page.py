"""Correspondences of several encoders as one self-contained HTML page (Law Fig. 6 to 8)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.report.fields import Box, Count, Finite, ImageUri, Record, Side, Text, read_record
from diglot.report.palette import entity_colour, ink_on
from diglot.report.render import render_page, write_page
from diglot.report.token_maps import Heat, Scale, draw_heat

Point = tuple[Finite, Finite]


class Picture(Record):
    """A picture, shown stretched to its size."""

    image: ImageUri
    size_hw: tuple[Side, Side]


class Prediction(Record):
    """A source point in the target, by one encoder: cells, their cosines, the best one's centre."""

    encoder: Count
    boxes: tuple[Box, ...]
    values: tuple[Finite, ...]
    predicted: Point
    error: Finite  # as a share of the target box's longer side


class ShownPoint(Record):
    """One point in both pictures, and where each encoder finds it."""

    source: Point
    true: Point
    found: tuple[Prediction, ...]


class ShownPair(Record):
    """Two pictures of the same thing; a prediction within `radius` px of the truth is right."""

    id: Text
    about: Text
    source: Picture
    target: Picture
    radius: Finite
    points: tuple[ShownPoint, ...]


class CorrespondencePage(Record):
    """Pairs under several encoders."""

    title: Text
    created: Text
    note: Text
    alpha: Finite
    encoders: tuple[Text, ...]
    pairs: tuple[ShownPair, ...]

    @property
    def right(self) -> list[tuple[str, int, int]]:
        """Of every encoder its name, and how many of the shown points it finds, of how many."""
        found = [p for pair in self.pairs for point in pair.points for p in point.found]
        by_encoder = [[p for p in found if p.encoder == n] for n in range(len(self.encoders))]
        return [
            (name, sum(p.error < self.alpha for p in own), len(own))
            for name, own in zip(self.encoders, by_encoder, strict=True)
        ]

    def find_scales(self) -> dict[int, Scale]:
        """By encoder the lowest and the highest cosine, over all that is shown of it."""
        ranges = defaultdict[int, list[float]](list)
        for found in (p for pair in self.pairs for point in pair.points for p in point.found):
            ranges[found.encoder] += (min(found.values), max(found.values))
        return {encoder: (min(ends), max(ends)) for encoder, ends in ranges.items()}


@dataclass(frozen=True, kw_only=True)
class PredictionView:
    """A prediction with its cells as paths by level of heat."""

    name: str
    prediction: Prediction
    heat: tuple[Heat, ...]
    right: bool


@dataclass(frozen=True, kw_only=True)
class PointView:
    """A point's number and colour, and its predictions."""

    number: int
    colour: str
    ink: str
    point: ShownPoint
    found: tuple[PredictionView, ...]


def read_correspondence_page(data: Mapping[str, Any]) -> CorrespondencePage:
    """The page in `data`. Raises DataError naming the first field that cannot be used."""
    return read_record(CorrespondencePage, data, where="page")


def write_correspondence_page(data: Mapping[str, Any], out: Path) -> Path:
    """Write the page, which needs no network and runs no script; equal data, equal bytes.

    Raises DataError naming the field that cannot be used, ConfigError where `out` cannot be
    written.
    """
    page = read_correspondence_page(data)
    scales = page.find_scales()
    pairs = [
        (pair, [_view_point(page, scales, n, p) for n, p in enumerate(pair.points)])
        for pair in page.pairs
    ]
    return write_page(render_page("correspondence.html.j2", {"page": page, "pairs": pairs}), out)


def _view_point(
    page: CorrespondencePage, scales: Mapping[int, Scale], number: int, point: ShownPoint
) -> PointView:
    colour = entity_colour(number)
    return PointView(
        number=number + 1,
        colour=colour,
        ink=ink_on(colour),
        point=point,
        found=tuple(_view_prediction(page, scales[p.encoder], p) for p in point.found),
    )


def _view_prediction(page: CorrespondencePage, scale: Scale, found: Prediction) -> PredictionView:
    return PredictionView(
        name=page.encoders[found.encoder],
        prediction=found,
        heat=draw_heat(found.values, found.boxes, scale),
        right=found.error < page.alpha,
    )
