"""One object of an image and the words for it: its box, its mask, its span in the text."""

import math
from dataclasses import dataclass
from numbers import Real

from diglot.core.errors import DataError, check_type

Box = tuple[float, float, float, float]
Span = tuple[int, int]
SizeHW = tuple[int, int]

# A box this little outside its image is rounding, and clipped; further out it belongs to another.
CLIP_SHARE, CLIP_PX = 0.05, 2.0


@dataclass(frozen=True, kw_only=True)
class Rle:
    """A binary mask in COCO's compressed run-length encoding (column-major)."""

    size_hw: SizeHW
    counts: str

    def __post_init__(self) -> None:
        _check_rle(self)


@dataclass(frozen=True, kw_only=True)
class Region:
    """One object of an image and the words for it. Raises DataError naming the field."""

    phrase: str
    """The words that stand for it, with attributes ("the small brown dog")."""
    box: Box
    """xyxy, float pixels of the original image."""
    span: Span | None = None
    """[start, end) characters of the phrase in the caption, or in the text of turn `turn`."""
    label: str | None = None
    """The plain name of what is shown ("dog")."""
    mask: Rle | None = None
    score: float = 1.0
    """Grounding confidence in [0, 1]."""
    source: str = ""
    """Who or what made it: an annotator's revision, or the pasted picture's id."""
    image: int = 0
    """Which of the sample's images shows it."""
    turn: int | None = None
    """Which turn of a conversation the span is in; None = the caption."""

    def __post_init__(self) -> None:
        _check_region(self)

    @property
    def name(self) -> str:
        """The label, or the phrase where no label is known."""
        return self.label if self.label and self.label.strip() else self.phrase

    @property
    def word_span(self) -> Span | None:
        """The span without blanks at its ends, which tokens share with the next word."""
        if self.span is None:
            return None
        phrase, start = self.phrase, self.span[0]
        return start + len(phrase) - len(phrase.lstrip()), start + len(phrase.rstrip())


def is_inside_image(box: Box, size_hw: SizeHW, *, slack_px: tuple[float, float]) -> bool:
    """Whether a box lies in its image, or sticks out by at most so many pixels (x, y)."""
    (x0, y0, x1, y1), (height, width), (slack_x, slack_y) = box, size_hw, slack_px
    return x0 >= -slack_x and y0 >= -slack_y and x1 <= width + slack_x and y1 <= height + slack_y


def is_nearly_inside(box: Box, size_hw: SizeHW) -> bool:
    """Whether a box sticks out of its image by rounding at most."""
    slack_y, slack_x = (max(CLIP_PX, CLIP_SHARE * side) for side in size_hw)
    return is_inside_image(box, size_hw, slack_px=(slack_x, slack_y))


def clip_box(box: Box, size_hw: SizeHW) -> Box:
    """The part of a box that lies inside its image; it may have no area."""
    x0, y0, x1, y1 = box
    height, width = size_hw
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))


def check_pair(value: object, *, where: str) -> None:
    """Raises DataError unless `value` is two integers."""
    whole = isinstance(value, tuple) and len(value) == 2 and all(map(_is_integer, value))
    if not whole:
        raise DataError("wrong type", expected="two integers", got=repr(value), where=where)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_rle(rle: Rle) -> None:
    """Types only: whether the runs fill the mask is `core.masks.check`."""
    check_pair(rle.size_hw, where="size_hw")
    check_type(rle.counts, str, "COCO's compressed runs as a string", where="counts")


def _check_region(region: Region) -> None:
    """All that can be checked of a region without its sample."""
    check_type(region.phrase, str, "a string", where="phrase")
    if not region.phrase.strip():
        raise DataError("phrase is empty", expected="the words for the region", where="phrase")
    _check_box(region.box)
    if region.span is not None:
        check_pair(region.span, where="span")
        if not 0 <= region.span[0] < region.span[1]:
            raise DataError(
                "span is empty", expected="0 <= start < end", got=region.span, where="span"
            )
    check_type(region.label, (str, type(None)), "a string or None", where="label")
    check_type(region.score, Real, "a number", where="score")
    if not 0.0 <= region.score <= 1.0:  # NaN too: it would order regions by chance
        raise DataError(
            "score is not in [0, 1]", expected="0 <= score <= 1", got=region.score, where="score"
        )
    check_type(region.source, str, "a string", where="source")
    check_type(region.image, int, "an image's index", where="image")
    check_type(region.turn, (int, type(None)), "a turn's index or None", where="turn")
    check_type(region.mask, (Rle, type(None)), "an Rle or None", where="mask")


def _check_box(box: object) -> None:
    if not isinstance(box, tuple) or len(box) != 4 or not all(isinstance(v, Real) for v in box):
        raise DataError("not a box", expected="(x0, y0, x1, y1) px", got=repr(box), where="box")
    x0, y0, x1, y1 = box
    if not all(math.isfinite(v) for v in box) or x0 >= x1 or y0 >= y1:
        raise DataError(
            "box is empty or not finite", expected="x0 < x1, y0 < y1", got=box, where="box"
        )
