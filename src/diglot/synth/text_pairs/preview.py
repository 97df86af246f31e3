"""A contact sheet of pairs: both pictures side by side, their keypoints joined by lines."""

import colorsys
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from diglot.data.pairs import Pair, PairImage
from diglot.synth.text_pairs.canvas import Colour, square_around
from diglot.synth.text_pairs.latin import bundled_folder, plain_font

_COLUMNS = 3
_SIDE_PX = 330  # of the square that each picture fits into
_TEXT_PX = 16
_HIDDEN: Colour = (128, 128, 128)


def draw_preview(pairs: Sequence[Pair], *, most: int = 12) -> Image.Image:
    """Up to `most` pairs of different categories and groups on one sheet.

    A line joins what corresponds; a grey cross is not scored; a frame is the target's box.
    """
    chosen = _spread_pairs(pairs, most)
    rows = -(-len(chosen) // _COLUMNS)
    cell_wh = 2 * _SIDE_PX + 12, _SIDE_PX + _TEXT_PX + 16
    sheet = Image.new("RGB", (_COLUMNS * cell_wh[0], rows * cell_wh[1]), (250, 250, 250))
    for number, pair in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        sheet.paste(_draw_pair(pair), (column * cell_wh[0], row * cell_wh[1]))
    return sheet


def _spread_pairs(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """One after another of the categories and groups that were shown least, as they come."""
    shown: Counter[str] = Counter()
    rest, chosen = list(pairs), list[Pair]()
    while rest and len(chosen) < most:
        least = [shown[pair.category] + sum(shown[group] for group in pair.groups) for pair in rest]
        chosen.append(rest.pop(least.index(min(least))))
        shown.update([chosen[-1].category, *chosen[-1].groups])
    return chosen


def _draw_pair(pair: Pair) -> Image.Image:
    image = Image.new("RGB", (2 * _SIDE_PX + 4, _SIDE_PX + _TEXT_PX + 8), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    title = f"{pair.category}  {' '.join(pair.groups)}  {pair.id}"
    font = plain_font(bundled_folder() / "DejaVuSans.ttf", _TEXT_PX - 3)
    draw.text((4, 3), title, fill=(0, 0, 0), font=font)
    scales = []
    for side, left in ((pair.source, 0), (pair.target, _SIDE_PX + 4)):
        scales.append(_SIDE_PX / max(side.size_hw))
        image.paste(_open_picture(side, scales[-1]), (left, _TEXT_PX + 8))
    offsets = (0, _TEXT_PX + 8), (_SIDE_PX + 4, _TEXT_PX + 8)
    x0, y0, x1, y1 = (v * scales[1] + offsets[1][i % 2] for i, v in enumerate(pair.box))
    draw.rectangle((x0, y0, x1, y1), outline=(255, 0, 0))
    sides = (pair.source, pair.target)
    for k, scored in enumerate(pair.scored_K):
        ends = [
            (side.points_K2[k, 0] * scale + left, side.points_K2[k, 1] * scale + top)
            for side, scale, (left, top) in zip(sides, scales, offsets, strict=True)
        ]
        _join_points(draw, ends, _hue_colour(k) if scored else _HIDDEN, scored=bool(scored))
    return image


def _join_points(
    draw: ImageDraw.ImageDraw, ends: list[tuple[float, float]], colour: Colour, *, scored: bool
) -> None:
    if scored:
        draw.line(ends, fill=colour)
    for x, y in ends:
        if scored:
            draw.ellipse(square_around((x, y), 3), fill=colour, outline=(0, 0, 0))
        else:
            draw.line((x - 4, y - 4, x + 4, y + 4), fill=colour, width=2)
            draw.line((x - 4, y + 4, x + 4, y - 4), fill=colour, width=2)


def _open_picture(side: PairImage, scale: float) -> Image.Image:
    opened = side.image if isinstance(side.image, Path) else io.BytesIO(side.image)
    with Image.open(opened) as picture:
        height, width = side.size_hw
        return picture.resize((round(width * scale), round(height * scale)))


def _hue_colour(k: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(k * 0.381966 % 1, 0.9, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
