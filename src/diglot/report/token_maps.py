"""What each visual token of an image means to the LLM: cosine with a name, nearest word."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from diglot.report.axes import format_value
from diglot.report.fields import Box
from diglot.report.palette import HEAT_LEVELS
from diglot.report.scene_schema import NameMap, TokenMap
from diglot.report.scenes import BoxView, Rect, SceneView, to_rect

Scale = tuple[float, float]  # the values at the ends of the colours

# A token this much larger than the median one belongs to a coarser view (a thumbnail).
_COARSE = 1.9
# Width of a letter as a share of the font size, generous enough for most fonts.
_LETTER = 0.72


@dataclass(frozen=True, kw_only=True)
class Heat:
    """The tokens of one level of heat, drawn as one path."""

    level: int
    path: str


@dataclass(frozen=True, kw_only=True)
class NameMapView:
    """The map of one name. `peak` is the centre of the token with the highest cosine."""

    name: str
    entity: BoxView | None  # the region of the scene that this name stands for
    truth: Rect
    heat: tuple[Heat, ...]
    low: str
    high: str
    peak: tuple[float, float] | None
    hit: bool  # the peak lies in the true box


@dataclass(frozen=True, kw_only=True)
class WordLabel:
    """A token's nearest word, written at its centre; `named` if a name of the scene holds it."""

    text: str
    x: float
    y: float
    font_px: float
    named: bool
    index: int = 0  # of its token


@dataclass(frozen=True, kw_only=True)
class TokenMapView:
    """All maps of one run on one scene."""

    run: int
    maps: tuple[NameMapView, ...]
    words: tuple[WordLabel, ...]
    coarse: int  # tokens of a coarser view, left out of the words


def find_scale(token_maps: Iterable[TokenMap]) -> Scale | None:
    """The lowest and the highest cosine of all these maps, None where nothing was measured."""
    kept = [v for tokens in token_maps for m in tokens.maps for v in _keep_finite(m.values)]
    values = [v for v in kept if v is not None]
    return (min(values), max(values)) if values else None


def view_token_map(
    tokens: TokenMap, view: SceneView, run: int, scale: Scale | None = None
) -> TokenMapView:
    """Ready to draw over `view`, for the report's `run`-th run.

    `scale` is what all maps side by side share, from `find_scale`; None takes this run's own.
    """
    fine, scale = find_fine_tokens(tokens.boxes), scale or find_scale([tokens])
    return TokenMapView(
        run=run,
        maps=tuple(_view_name(m, tokens.boxes, view, scale) for m in tokens.maps),
        words=tuple(_label_nearest(tokens, i, _name_words(view)) for i in fine)
        if tokens.words
        else (),
        coarse=len(tokens.boxes) - len(fine),
    )


def _keep_finite(values: Sequence[float | None]) -> list[float | None]:
    return [v if v is not None and math.isfinite(v) else None for v in values]


def _view_name(
    name_map: NameMap, boxes: Sequence[Box], view: SceneView, scale: Scale | None
) -> NameMapView:
    values = _keep_finite(name_map.values)
    known = [(value, index) for index, value in enumerate(values) if value is not None]
    low, high = (min(known)[0], max(known)[0]) if known else (None, None)
    peak = _box_centre(boxes[max(known)[1]]) if known else None
    x0, y0, x1, y1 = name_map.box
    return NameMapView(
        name=name_map.name,
        entity=_find_entity(name_map, view),
        truth=to_rect(name_map.box),
        heat=draw_heat(values, boxes, scale),
        low=format_value(low),
        high=format_value(high),
        peak=peak,
        hit=peak is not None and x0 <= peak[0] <= x1 and y0 <= peak[1] <= y1,
    )


def _find_entity(name_map: NameMap, view: SceneView) -> BoxView | None:
    for box in view.boxes:
        same_name = name_map.name in (box.region.label, box.region.phrase)
        pairs = zip(name_map.box, box.region.box, strict=True)
        if same_name and all(abs(a - b) < 1.0 for a, b in pairs):
            return box
    return None


def draw_heat(
    values: Sequence[float | None], boxes: Sequence[Box], scale: Scale | None
) -> tuple[Heat, ...]:
    """Tokens by level between the ends of the scale; all low where these are equal."""
    if scale is None:
        return ()
    low, high = scale
    paths: dict[int, list[str]] = defaultdict(list)
    for value, box in zip(values, boxes, strict=True):
        if value is not None:
            share = (value - low) / (high - low) if high > low else 0.0
            paths[round(share * (HEAT_LEVELS - 1))].append(outline_box(box))
    return tuple(Heat(level=level, path="".join(paths[level])) for level in sorted(paths))


def outline_box(box: Box) -> str:
    """A box as SVG path data."""
    r = to_rect(box)
    return f"M{r.x:g} {r.y:g}h{r.width:g}v{r.height:g}h{-r.width:g}z"


def find_fine_tokens(boxes: Sequence[Box]) -> list[int]:
    """The tokens that belong to no coarser view."""
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]
    limit = _COARSE * median(areas) if areas else 0.0
    return [index for index, area in enumerate(areas) if area <= limit]


def _name_words(view: SceneView) -> frozenset[str]:
    return frozenset(word for b in view.boxes for word in b.region.label.lower().split())


def _label_nearest(tokens: TokenMap, index: int, names: frozenset[str]) -> WordLabel:
    assert tokens.words is not None
    named = tokens.words[index].strip().lower() in names
    return label_token(tokens.words[index], tokens.boxes[index], named=named, index=index)


def label_token(
    text: str, box: Box, *, named: bool, size: float = 1.0, index: int = 0
) -> WordLabel:
    """A text at a token's centre; `size` is its share of the largest font that fits."""
    text, rect = text.strip(), to_rect(box)
    x, y = _box_centre(box)
    room_px = 0.9 * rect.width / (_LETTER * max(len(text), 5))
    font_px = size * min(room_px, 0.3 * rect.height)
    return WordLabel(text=text, x=x, y=y, font_px=round(font_px, 2), named=named, index=index)


def _box_centre(box: Box) -> tuple[float, float]:
    return round((box[0] + box[2]) / 2, 2), round((box[1] + box[3]) / 2, 2)
