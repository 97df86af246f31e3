"""The example scenes of a report: image, caption, regions, and what each run sees in them."""

from dataclasses import dataclass, field

from diglot.report.fields import Box, Field
from diglot.report.token_schema import TokenDetails, read_details

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SceneRegion:
    """One object of a scene; box in pixels of the original image, span in its caption."""

    phrase: str
    label: str
    span: Span | None
    box: Box
    mask: str | None = None  # data URI, white where the object is
    score: float | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class NameMap:
    """Cosine of every visual token with one name; `box` is where the named object truly is."""

    name: str
    box: Box
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class TokenMap:
    """One run's visual tokens on one image: box (original pixels) and nearest word of each."""

    boxes: tuple[Box, ...]
    words: tuple[str, ...] | None
    maps: tuple[NameMap, ...]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image with its caption and regions."""

    id: str
    image: str  # data URI; shown stretched to size_hw, so it may be a thumbnail
    size_hw: tuple[int, int]
    caption: str
    regions: tuple[SceneRegion, ...]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A scene and what each run makes of it."""

    scene: Scene
    token_maps: dict[str, TokenMap]
    details: dict[str, TokenDetails] = field(default_factory=dict)


def read_example(field: Field, runs: tuple[str, ...]) -> Example:
    """A scene, its token maps and their details by run. Raises DataError naming the field."""
    read = {run: _read_token_map(f) for run, f in field.at("token_maps").by_run(runs).items()}
    details = field.find("token_details")
    return Example(
        scene=read_scene(field),
        token_maps=read,
        details=_read_all_details(details, read) if details else {},
    )


def _read_all_details(field: Field, maps: dict[str, TokenMap]) -> dict[str, TokenDetails]:
    by_run = field.by_run(tuple(maps))
    return {run: read_details(f, len(maps[run].boxes)) for run, f in by_run.items()}


def read_scene(field: Field) -> Scene:
    """A scene: image, caption, regions. Raises DataError naming the field."""
    caption = field.at("caption").text()
    return Scene(
        id=field.at("id").text(),
        image=field.at("image").image_uri(),
        size_hw=field.at("size_hw").size_hw(),
        caption=caption,
        regions=tuple(_read_region(f, caption) for f in field.at("regions").items()),
    )


def _read_region(field: Field, caption: str) -> SceneRegion:
    span, mask, score, source = (field.find(k) for k in ("span", "mask", "score", "source"))
    return SceneRegion(
        phrase=field.at("phrase").text(),
        label=field.at("label").text(),
        span=_read_span(span, caption) if span else None,
        box=field.at("box").box(),
        mask=mask.image_uri() if mask else None,
        score=score.number() if score else None,
        source=source.text() if source else "",
    )


def _read_span(field: Field, caption: str) -> Span:
    start, end = (item.count() for item in field.items(length=2))
    if not start < end <= len(caption):
        raise field.wrong(f"[start, end) characters of a caption of {len(caption)}")
    return start, end


def _read_token_map(field: Field) -> TokenMap:
    boxes = tuple(f.box() for f in field.at("boxes").items())
    words = field.find("words")
    if words:
        words.items(length=len(boxes))
    return TokenMap(
        boxes=boxes,
        words=words.texts() if words else None,
        maps=tuple(_read_name_map(f, len(boxes)) for f in field.at("maps").items()),
    )


def _read_name_map(field: Field, tokens: int) -> NameMap:
    return NameMap(
        name=field.at("name").text(),
        box=field.at("box").box(),
        values=tuple(f.number() for f in field.at("values").items(length=tokens)),
    )
