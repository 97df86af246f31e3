"""Statistics of many samples, as totals and as bars: MMCS Table 6 and Figure 1, and PAD's counts.

MMCS counts samples, objects, average characters of a caption and average objects of a sample, and
the entities of each caption; PAD (patch-aligned) counts regions and unique tags.
"""

from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from typing import Any

from diglot.core.types import Region, Sample

_BARS = 12
# Edges of the bins of a box's share of its image, in percent.
_AREA_EDGES = (0.1, 0.5, 1, 2, 5, 10, 20, 50)
_MAX_NAMES = 200_000


class DatasetStats:
    """Running counts; `add` samples one by one, then take `facts` and `charts`.

    Of more than 200,000 different phrases the new ones are counted together.
    """

    def __init__(self) -> None:
        self.samples = self._characters = self._captions = self._turns = self._images = 0
        self._objects: Counter[int] = Counter()
        self._entities: Counter[int] = Counter()
        self._words: Counter[int] = Counter()
        self._areas: Counter[int] = Counter()
        self._scores: Counter[int] = Counter()
        self._phrases: Counter[str] = Counter()
        self._tags: Counter[str] = Counter()
        self._masks = self._with_span = self._other_phrases = 0

    def add(self, sample: Sample) -> None:
        """Count one sample; its picture is not decoded."""
        self.samples += 1
        self._images += len(sample.images)
        self._turns += len(sample.turns)
        self._objects[len(sample.regions)] += 1
        if not sample.is_conversation:
            self._captions += 1
            self._characters += len(sample.caption)
            self._words[len(sample.caption.split())] += 1
            spans = {region.span for region in sample.regions if region.span is not None}
            self._entities[len(spans)] += 1
        for region in sample.regions:
            self._add_region(region, sample)

    def _add_region(self, region: Region, sample: Sample) -> None:
        height, width = sample.sizes_hw[region.image]
        x0, y0, x1, y1 = region.box
        percent = 100 * (x1 - x0) * (y1 - y0) / (height * width)
        self._areas[bisect_right(_AREA_EDGES, percent)] += 1
        self._scores[min(int(region.score * 10), 9)] += 1
        self._masks += region.mask is not None
        self._with_span += region.span is not None
        self._count_name(self._phrases, region.phrase)
        self._count_name(self._tags, region.name)

    def _count_name(self, names: Counter[str], name: str) -> None:
        name = name.lower()
        if name in names or len(names) < _MAX_NAMES:
            names[name] += 1
        else:
            self._other_phrases += names is self._phrases

    def facts(self) -> dict[str, str]:
        """The totals, in words."""
        regions = self._areas.total()
        more = "more than " if len(self._tags) >= _MAX_NAMES else ""
        facts = {
            "objects": f"{regions:,}",
            "objects a sample": f"{_mean_of_counts(self._objects):.1f}",
            "characters a caption": f"{self._characters / max(self._captions, 1):.0f}",
            "entities a caption": f"{_mean_of_counts(self._entities):.1f}",
            "unique tags": f"{more}{len(self._tags):,}",
            "objects in their text": _format_share(self._with_span, regions),
            "objects with a mask": _format_share(self._masks, regions),
        }
        if self._turns:
            conversations = self.samples - self._captions
            facts["conversations"] = f"{conversations:,}, {self._turns / conversations:.1f} turns"
            facts["images"] = f"{self._images:,}"
        return facts

    def charts(self) -> list[dict[str, Any]]:
        """Figures of bars: {"title", "bars": [[text, count], ...], "rest": count not drawn}."""
        phrases = self._phrases.most_common(_BARS)
        rest = self._phrases.total() + self._other_phrases - sum(count for _, count in phrases)
        charts = [
            ("Objects per sample", bin_counts(self._objects), 0),
            ("Entities per caption", bin_counts(self._entities), 0),
            ("Words per caption", bin_counts(self._words), 0),
            ("Box area, share of the image", self._area_bars(), 0),
            ("Score", self._score_bars(), 0),
            ("Most frequent phrases", [list(bar) for bar in phrases], rest),
        ]
        return [{"title": t, "bars": bars, "rest": more} for t, bars, more in charts if bars]

    def _area_bars(self) -> list[list[Any]]:
        names = [f"below {_AREA_EDGES[0]}%"]
        names += [f"{low}% to {high}%" for low, high in pairwise(_AREA_EDGES)]
        names += [f"{_AREA_EDGES[-1]}% and more"]
        return _trim_bars([[name, self._areas[n]] for n, name in enumerate(names)])

    def _score_bars(self) -> list[list[Any]]:
        """Tenths; where every score is 1, as of drawn regions, there is nothing to show."""
        if set(self._scores) <= {9}:
            return []
        return _trim_bars(
            [[f"{n / 10:.1f} to {(n + 1) / 10:.1f}", self._scores[n]] for n in range(10)]
        )


def _trim_bars(bars: list[list[Any]]) -> list[list[Any]]:
    """The bars without the empty ones at both ends."""
    filled = [n for n, (_, count) in enumerate(bars) if count]
    return bars[filled[0] : filled[-1] + 1] if filled else []


def bin_counts(counts: Counter[int], *, most: int = _BARS) -> list[list[Any]]:
    """Bars of whole numbers from the least to the greatest, in at most `most` equal bins."""
    if not counts:
        return []
    low, high = min(counts), max(counts)
    width = -(-(high - low + 1) // most)
    bars = []
    for start in range(low, high + 1, width):
        end = start + width - 1
        text = str(start) if width == 1 else f"{start} to {end}"
        bars.append([text, sum(n for value, n in counts.items() if start <= value <= end)])
    return bars


def _mean_of_counts(counts: Counter[int]) -> float:
    return sum(value * n for value, n in counts.items()) / max(counts.total(), 1)


def _format_share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.0f}%)" if whole else "0"
