"""Pages of text in five styles: each arranges the same texts in its own way and size.

A layout takes texts in reading order and returns a canvas that holds each of them once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from diglot.core.types import Box
from diglot.synth.text_pairs.canvas import Canvas, Lettering, boxes_overlap
from diglot.synth.text_pairs.page_style import PageStyle, blank_page

_PAD = 26  # px from the page's edge to its text


def draw_sign(texts: Sequence[str], style: PageStyle, rng: Random) -> Canvas:
    """Centred lines in large letters of a few sizes, framed."""
    bold = rng.random() < 0.6
    lines = []
    for line in _lines_of(texts, rng, most=2):
        how = style.lettering(rng, rng.choice((26, 30, 36)), bold=bold)
        lines.append((line, rng.choice((how, how, style.accented(how)))))
    gap = round(0.9 * lines[0][1].size_px)
    widths = [_line_width(line, how, gap) for line, how in lines]
    width = max(widths) + 2 * _PAD + 16
    canvas = blank_page(width, sum(h.line_px for _, h in lines) + 2 * _PAD + 8, style, rng)
    _draw_frame(canvas, style, rng)
    y = _PAD
    for (line, how), line_width in zip(lines, widths, strict=True):
        y += how.line_px
        x = (width - line_width) / 2
        for text in line:
            canvas.write(text, x, y - 0.3 * how.size_px, how)
            x += how.width(text) + gap
    return canvas


def draw_poster(texts: Sequence[str], style: PageStyle, rng: Random) -> Canvas:
    """Texts of many sizes strewn over the page, without overlap."""
    sizes = [rng.choice((17, 20, 24, 30, 38)) for _ in texts]
    hows = [style.lettering(rng, size) for size in sizes]
    hows = [rng.choice((how, how, style.accented(how))) for how in hows]
    area = sum(how.width(text) * how.line_px for text, how in zip(texts, hows, strict=True))
    widest_px = max(how.width(text) for text, how in zip(texts, hows, strict=True))
    width = max(widest_px + 2 * _PAD, round((2.2 * area) ** 0.5 * rng.uniform(0.9, 1.2)))
    height = max(200, round(2.4 * area / width))
    while (places := _scatter_texts(texts, hows, width, height, rng)) is None:
        height = round(1.1 * height)
    canvas = blank_page(width, height, style, rng)
    _draw_frame(canvas, style, rng)
    for text, how, (x, baseline) in zip(texts, hows, places, strict=True):
        canvas.write(text, x, baseline, how)
    return canvas


def draw_receipt(texts: Sequence[str], style: PageStyle, rng: Random) -> Canvas:
    """A narrow slip: a heading, then names on the left and numbers on the right."""
    plain = style.lettering(rng, rng.choice((18, 20, 22)), bold=False)
    heading = replace(style.lettering(rng, 30, bold=True), colour=style.accent)
    top, rows = _receipt_rows(texts)
    gap = 2 * plain.size_px
    inner = max(_line_width(row, plain, gap) for row in rows)
    inner = max(inner, heading.width(top))
    width, step = inner + 2 * _PAD, round(1.1 * plain.line_px)
    canvas = blank_page(
        width, 2 * _PAD + round(1.4 * heading.line_px) + len(rows) * step, style, rng
    )
    y = _PAD + heading.size_px
    canvas.write(top, (width - heading.width(top)) / 2, y, heading)
    y += 0.5 * heading.line_px
    _draw_dashes(canvas, y, style)
    for row in rows:
        y += step
        canvas.write(row[0], _PAD, y, plain)
        if len(row) == 2:
            canvas.write(row[1], width - _PAD - plain.width(row[1]), y, plain)
    _draw_dashes(canvas, y + 0.5 * step, style)
    return canvas


def draw_table(texts: Sequence[str], style: PageStyle, rng: Random) -> Canvas:
    """Ruled cells, the first row set off."""
    columns = min(rng.choice((2, 3, 3, 4)), len(texts))
    rows = [list(texts[i : i + columns]) for i in range(0, len(texts), columns)]
    plain = style.lettering(rng, rng.choice((18, 20, 23)))
    head = replace(style.lettering(rng, 20, bold=True), colour=style.paper)
    hows = [head, *[plain] * (len(rows) - 1)]
    widths = [
        max(how.width(row[c]) for row, how in zip(rows, hows, strict=True) if c < len(row)) + 24
        for c in range(columns)
    ]
    step, align = round(rng.uniform(1.5, 2.0) * plain.size_px), rng.choice((0.0, 0.5, 1.0))
    width, height = sum(widths) + _PAD, len(rows) * step + _PAD
    canvas = blank_page(width, height, style, rng)
    left, top = _PAD // 2, _PAD // 2
    canvas.draw.rectangle((left, top, width - left, top + step), fill=style.accent)
    for r, (row, how) in enumerate(zip(rows, hows, strict=True)):
        x, y = left, top + r * step
        canvas.draw.line((left, y + step, width - left, y + step), fill=style.ink)
        for text, cell_width in zip(row, widths, strict=False):
            free_px = cell_width - 24 - how.width(text)
            canvas.write(text, x + 12 + align * free_px, y + 0.5 * step + 0.35 * how.size_px, how)
            x += cell_width
    _draw_column_rules(canvas, left, top, widths, len(rows) * step, style, rng)
    return canvas


def draw_columns(texts: Sequence[str], style: PageStyle, rng: Random) -> Canvas:
    """Running text in one to three columns under a heading."""
    plain = style.lettering(rng, rng.choice((17, 19, 21)), bold=False)
    heading = style.lettering(rng, 30, bold=True)
    count, space = rng.choice((1, 2, 2, 3)), plain.width("m") // 2
    across = max(rng.choice((150, 180, 210)), *(plain.width(text) for text in texts))
    across = max(across, round(1.7 * across) if count == 1 else 0)
    lines = _wrap_lines(texts[1:], plain, across, space)
    tall = -(-len(lines) // count)
    width = max(count * across + (count - 1) * 28, heading.width(texts[0])) + 2 * _PAD
    height = 2 * _PAD + round(1.3 * heading.line_px) + tall * plain.line_px
    canvas = blank_page(width, height, style, rng)
    canvas.write(texts[0], _PAD, _PAD + heading.size_px, heading)
    top = _PAD + 1.3 * heading.line_px
    for i, line in enumerate(lines):
        x = _PAD + (i // tall) * (across + 28)
        for text in line:
            canvas.write(text, x, top + (i % tall + 0.75) * plain.line_px, plain)
            x += plain.width(text) + space
    return canvas


STYLES: dict[str, Callable[[Sequence[str], PageStyle, Random], Canvas]] = {
    "sign": draw_sign,
    "poster": draw_poster,
    "receipt": draw_receipt,
    "table": draw_table,
    "columns": draw_columns,
}


def _lines_of(texts: Sequence[str], rng: Random, *, most: int) -> list[list[str]]:
    lines, rest = [], list(texts)
    while rest:
        length = rng.randint(1, most)
        lines.append(rest[:length])
        rest = rest[length:]
    return lines


def _line_width(line: Sequence[str], how: Lettering, gap: int) -> int:
    return sum(how.width(text) for text in line) + gap * (len(line) - 1)


def _wrap_lines(texts: Sequence[str], how: Lettering, across: int, space: int) -> list[list[str]]:
    lines: list[list[str]] = [[]]
    for text in texts:
        if lines[-1] and _line_width([*lines[-1], text], how, space) > across:
            lines.append([])
        lines[-1].append(text)
    return lines


def _receipt_rows(texts: Sequence[str]) -> tuple[str, list[list[str]]]:
    """The heading, and rows of a name with a number while both last."""
    numbers = [text for text in texts if text[-1].isdigit() or text[-1] == "%"]
    names = [text for text in texts if text not in numbers]
    top, names = (names[0], names[1:]) if names else (numbers.pop(0), [])
    paired = [list(row) for row in zip(names, numbers, strict=False)]
    rest = [*names[len(paired) :], *numbers[len(paired) :]]
    return top, paired + [[text] for text in rest]


def _scatter_texts(
    texts: Sequence[str], hows: Sequence[Lettering], width: int, height: int, rng: Random
) -> list[tuple[float, float]] | None:
    """Starts on baselines where no text touches another; None where no room was found."""
    taken: list[Box] = []
    places = []
    for text, how in zip(texts, hows, strict=True):
        for _ in range(60):
            x = rng.uniform(_PAD, max(_PAD, width - _PAD - how.width(text)))
            y = rng.uniform(_PAD, height - _PAD - how.line_px)
            box = (x - 8, y, x + how.width(text) + 8, y + how.line_px)
            if not any(boxes_overlap(box, other) for other in taken):
                break
        else:
            return None
        taken.append(box)
        places.append((x, y + how.size_px))
    return places


def _draw_frame(canvas: Canvas, style: PageStyle, rng: Random) -> None:
    width, height = canvas.image.size
    inset, thick = rng.choice((3, 6, 9)), rng.choice((0, 2, 3, 5))
    if thick:
        canvas.draw.rounded_rectangle(
            (inset, inset, width - 1 - inset, height - 1 - inset),
            radius=rng.choice((0, 8, 18)),
            outline=style.accent,
            width=thick,
        )


def _draw_dashes(canvas: Canvas, y: float, style: PageStyle) -> None:
    for x in range(_PAD, canvas.image.width - _PAD, 10):
        canvas.draw.line((x, round(y), x + 5, round(y)), fill=style.ink)


def _draw_column_rules(
    canvas: Canvas,
    left: int,
    top: int,
    widths: Sequence[int],
    tall: int,
    style: PageStyle,
    rng: Random,
) -> None:
    if rng.random() < 0.3:
        return
    edges = [left + sum(widths[:c]) for c in range(len(widths) + 1)]
    for x in edges:
        canvas.draw.line((x, top, x, top + tall), fill=style.ink)
