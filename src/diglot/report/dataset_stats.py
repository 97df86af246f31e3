"""Counts over many samples: regions, caption words, names, each as the bars of a figure."""

from collections import Counter
from typing import Any

from diglot.core.types import Sample

_BARS = 12


class SampleTally:
    """Running counts; `add` samples one by one, then take `charts`."""

    def __init__(self) -> None:
        self.samples = 0
        self._regions: Counter[int] = Counter()
        self._words: Counter[int] = Counter()
        self._names: Counter[str] = Counter()
        self._masks = self._in_caption = 0

    def add(self, sample: Sample) -> None:
        """Count one sample; its picture is not looked at."""
        self.samples += 1
        self._regions[len(sample.regions)] += 1
        self._words[len(sample.caption.split())] += 1
        self._names.update(region.name.lower() for region in sample.regions)
        self._masks += sum(region.mask is not None for region in sample.regions)
        self._in_caption += sum(region.span is not None for region in sample.regions)

    def facts(self) -> dict[str, str]:
        """The totals, in words."""
        regions = self._names.total()
        return {
            "regions": f"{regions:,}, {_mean(self._regions):.1f} a sample",
            "regions in their caption": _share(self._in_caption, regions),
            "regions with a mask": _share(self._masks, regions),
            "names": f"{len(self._names):,} different",
            "caption words": f"{_mean(self._words):.1f} a caption",
        }

    def charts(self) -> list[dict[str, Any]]:
        """Figures of bars: {"title", "bars": [[text, count], ...], "rest": count not drawn}."""
        names = self._names.most_common(_BARS)
        rest = self._names.total() - sum(count for _, count in names)
        return [
            {"title": "Regions per sample", "bars": binned(self._regions), "rest": 0},
            {"title": "Words per caption", "bars": binned(self._words), "rest": 0},
            {"title": "Commonest names", "bars": [list(bar) for bar in names], "rest": rest},
        ]


def binned(counts: Counter[int], *, most: int = _BARS) -> list[list[Any]]:
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


def _mean(counts: Counter[int]) -> float:
    return sum(value * n for value, n in counts.items()) / max(counts.total(), 1)


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.0f}%)" if whole else "0"
