"""A scene ready to draw: numbered, coloured boxes and the caption in the same colours."""

from dataclasses import dataclass

from diglot.report.captions import CaptionPiece, cut_caption
from diglot.report.palette import entity_colour, ink_on
from diglot.report.scene_schema import Scene, SceneRegion

# Size of the number on a box, as a share of the image's longer side.
_BADGE = 0.045
_HIDDEN = 0.2  # of a box, at most, by its own number


@dataclass(frozen=True, kw_only=True)
class Rect:
    """A rectangle in pixels of the original image, as SVG wants it."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class BoxView:
    """One region: its number, its colour, where it is drawn."""

    number: int
    colour: str
    ink: str  # readable on `colour`
    rect: Rect
    badge: Rect
    region: SceneRegion


@dataclass(frozen=True, kw_only=True)
class SceneView:
    """Everything a template needs to draw a scene."""

    scene: Scene
    width: int
    height: int
    boxes: tuple[BoxView, ...]
    pieces: tuple[CaptionPiece, ...]
    description: str  # the picture in words


def view_scene(scene: Scene, *, first: int = 0) -> SceneView:
    """`scene` with its regions numbered in their own order, from `first` + 1."""
    height, width = scene.size_hw
    return SceneView(
        scene=scene,
        width=width,
        height=height,
        boxes=tuple(
            _view_box(r, i, scene.size_hw) for i, r in enumerate(scene.regions, start=first)
        ),
        pieces=cut_caption(scene.caption, [region.span for region in scene.regions]),
        description=_describe_scene(scene, first),
    )


def to_rect(box: tuple[float, float, float, float]) -> Rect:
    """An xyxy box as corner and size, rounded to a hundredth of a pixel."""
    x0, y0, x1, y1 = (round(v, 2) for v in box)
    return Rect(x=x0, y=y0, width=round(x1 - x0, 2), height=round(y1 - y0, 2))


def _view_box(region: SceneRegion, index: int, size_hw: tuple[int, int]) -> BoxView:
    colour = entity_colour(index)
    return BoxView(
        number=index + 1,
        colour=colour,
        ink=ink_on(colour),
        rect=to_rect(region.box),
        badge=place_badge(region, index + 1, size_hw),
        region=region,
    )


def place_badge(region: SceneRegion, number: int, size_hw: tuple[int, int]) -> Rect:
    """The number's place: the box's upper left corner, moved inside the image. A box that it would
    hide has it above itself, or below where there is no room.
    """
    height, width = size_hw
    side = _BADGE * max(size_hw)
    long_side = side * (0.55 + 0.45 * len(str(number)))
    x0, y0, x1, y1 = region.box
    if side * long_side > _HIDDEN * (x1 - x0) * (y1 - y0):
        y0 = y0 - side if y0 >= side else y1
    x = min(max(x0, 0.0), max(width - long_side, 0.0))
    y = min(max(y0, 0.0), max(height - side, 0.0))
    return Rect(x=round(x, 2), y=round(y, 2), width=round(long_side, 2), height=round(side, 2))


def _describe_scene(scene: Scene, first: int) -> str:
    names = ", ".join(f"{i} {r.label}" for i, r in enumerate(scene.regions, start=first + 1))
    return f"Picture {scene.id}. " + (f"Boxes: {names}." if names else "No boxes.")
