"""Two drawings of the same texts or data, and the marks on both that show the same thing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from diglot.core.types import Box
from diglot.synth.text_pairs.canvas import Canvas, Mark, boxes_overlap, center_of
from diglot.synth.text_pairs.chart_data import draw_data, draw_plan, match_plan
from diglot.synth.text_pairs.charts import KINDS
from diglot.synth.text_pairs.levels import Level
from diglot.synth.text_pairs.page_style import PageStyle
from diglot.synth.text_pairs.pages import STYLES
from diglot.synth.text_pairs.words import Draw

_PRICES = (2, 4)  # of the shared texts
_SPELT_LETTERS = 5  # a word whose letters are keypoints has at least as many
_RUNNING_WORDS = 14  # further texts of a page in columns

PageStyles = tuple[PageStyle, PageStyle]


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnPair:
    """Two pages, the marks to match in the same order on both, and what the tolerance is of."""

    pages: tuple[Canvas, Canvas]
    marks: tuple[Sequence[Mark], Sequence[Mark]]
    boxes: Sequence[Box]  # on the second page: together the object whose size sets the tolerance

    @property
    def readable(self) -> bool:
        """Whether no text lies on anything else that is marked."""
        return not any(is_covered(page) for page in self.pages)


def draw_words(
    style: str, level: Level, page_styles: PageStyles, count: int, rng: Random
) -> DrawnPair:
    """`count` texts on two pages, the first in `style`; their middles are to be matched."""
    draw = Draw(rng)
    prices = rng.randint(*_PRICES)
    shared = [draw.price() for _ in range(prices)]
    shared += [draw.any() for _ in range(count - prices)]
    rng.shuffle(shared)
    pages = _draw_pages(shared, style, level, page_styles, draw, rng)
    marks = _common_marks(pages, shared)
    return DrawnPair(pages=pages, marks=marks, boxes=[mark.box for mark in pages[1].marks])


def draw_characters(
    style: str, level: Level, page_styles: PageStyles, count: int, rng: Random
) -> DrawnPair:
    """As `draw_words`; the letters of one word are to be matched, and the box is that word's."""
    draw = Draw(rng)
    spelt = draw.long_word(_SPELT_LETTERS)
    shared = [spelt, *(draw.any() for _ in range(count - 1))]
    rng.shuffle(shared)
    pages = _draw_pages(shared, style, level, page_styles, draw, rng)
    (first,), (second,) = _common_marks(pages, [spelt])
    return DrawnPair(
        pages=pages, marks=(_letter_marks(first), _letter_marks(second)), boxes=[second.box]
    )


def draw_charts(kind: str, level: Level, page_styles: PageStyles, rng: Random) -> DrawnPair:
    """One set of data as two charts of a kind; all that both name is to be matched."""
    data = draw_data(kind, Draw(rng), rng)
    plans = [draw_plan(data, rng) for _ in page_styles]
    if level.same_hues:
        plans[1] = match_plan(plans[1], plans[0], layout=level.same_layout)
    first, second = (
        KINDS[kind](data, plan, page_style, rng)
        for plan, page_style in zip(plans, page_styles, strict=True)
    )
    marks = _common_marks((first, second), [mark.key for mark in first.marks])
    return DrawnPair(pages=(first, second), marks=marks, boxes=[mark.box for mark in second.marks])


def _draw_pages(
    shared: Sequence[str],
    style: str,
    level: Level,
    page_styles: PageStyles,
    draw: Draw,
    rng: Random,
) -> tuple[Canvas, Canvas]:
    """Both pages, with other texts of their own; the second in another style if the level asks."""
    other = style if level.same_layout else rng.choice([name for name in STYLES if name != style])
    first, second = (
        STYLES[name](_mix_texts(shared, name, level, draw, rng), page_style, rng)
        for name, page_style in zip((style, other), page_styles, strict=True)
    )
    return first, second


def _mix_texts(
    shared: Sequence[str], style: str, level: Level, draw: Draw, rng: Random
) -> list[str]:
    """The shared texts among others, in their order or shuffled."""
    texts = list(shared)
    if not level.same_layout:
        rng.shuffle(texts)
    single = [text for text in shared if " " not in text]
    others = [draw.like(text) for text in rng.sample(single, min(level.alike, len(single)))]
    wanted = rng.randint(*level.others) + (_RUNNING_WORDS if style == "columns" else 0)
    others += [draw.any() for _ in range(wanted - len(others))]
    for text in others:
        texts.insert(rng.randint(0, len(texts)), text)
    return texts


def _common_marks(
    pages: tuple[Canvas, Canvas], keys: Sequence[str]
) -> tuple[Sequence[Mark], Sequence[Mark]]:
    """The marks of `keys` that stand exactly once on both pages, in the order of `keys`."""
    counts = [Counter(mark.key for mark in page.marks) for page in pages]
    once = [key for key in keys if all(count[key] == 1 for count in counts)]
    by_key = [{mark.key: mark for mark in page.marks} for page in pages]
    return [by_key[0][key] for key in once], [by_key[1][key] for key in once]


def _letter_marks(word: Mark) -> list[Mark]:
    return [
        Mark(key=f"{word.key}[{i}]", point=center_of(box), box=box)
        for i, box in enumerate(word.parts)
    ]


def is_covered(page: Canvas) -> bool:
    """Whether a text lies on anything else that is marked."""
    return any(
        (a.parts or b.parts) and boxes_overlap(a.box, b.box) for a, b in combinations(page.marks, 2)
    )
