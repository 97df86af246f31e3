"""The papers' tables: which columns make a group, and the averages as each paper takes them.

MMCS Tables 1 to 4: Grounding is the plain mean of the eight splits of RefCOCO/+/g, Perception of
seven benchmarks, General of six (MME over its 2800 points), and All the plain mean of the three
groups, however many columns they have. (Table 2's own averages, 55.20 and 57.46 in its first two
rows, are no plain mean of its columns; Table 4's 55.77 and 58.24 are.)

VDEP Tables 1 and 2 print no average, and a row CHANGE of differences. SEA section 4.4 gives the
mean over columns of relative gains: 7.61% on Gemma-2B, from Table 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MMCS: Mapping[str, tuple[str, ...]] = {
    "General": ("MMBench", "MME", "MMStar", "MMMU", "MM-Vet", "GQA"),
    "Perception": ("AI2D", "ChartQA", "CVBench", "OCRBench", "RealWorldQA", "TextVQA", "V*"),
    "Grounding": (
        *("RefCOCO val", "RefCOCO testA", "RefCOCO testB"),
        *("RefCOCO+ val", "RefCOCO+ testA", "RefCOCO+ testB"),
        *("RefCOCOg val", "RefCOCOg test"),
    ),
}


def plain_mean(values: Sequence[float | None]) -> float | None:
    """The mean; None of nothing, or where a value is missing: an average has all its columns."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def group_means(columns: Mapping[str, float]) -> dict[str, float | None]:
    """MMCS Table 4 of one model: General, Perception, Grounding, and All, from its columns."""
    groups: dict[str, float | None] = {
        group: plain_mean([columns.get(name) for name in names]) for group, names in MMCS.items()
    }
    return {**groups, "All": plain_mean(list(groups.values()))}


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of a paper: its columns by group, and what it adds to them."""

    title: str
    groups: Mapping[str, tuple[str, ...]]
    means: bool = False
    """A mean of each group, and All, the mean of the groups (MMCS)."""
    change: Literal["", "difference", "relative"] = ""
    """Of each further row against the first: in each column (VDEP's CHANGE), or in per cent as the
    mean over all columns (SEA)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order."""
        return tuple(column for group in self.groups.values() for column in group)


PAPER_TABLES = (
    PaperTable(title="MMCS Tables 1 to 4", groups=MMCS, means=True),
    PaperTable(
        title="VDEP Tables 1 and 2",
        groups={
            "Visual question answering": (
                *("OKVQA", "GQA", "VizWiz", "TextVQA", "RealWorldQA", "ScienceQA"),
            ),
            "Instruction following": (
                *("POPE", "SEED", "AI2D", "MM-Vet", "MMMU", "MMT", "OCRBench"),
                *("MMBench", "MMBench-CN"),
            ),
        },
        change="difference",
    ),
    PaperTable(
        title="SEA Tables 1 and 2",
        groups={
            "": (*("VQAv2", "TextVQA", "GQA", "ScienceQA", "MMBench", "POPE", "VizWiz", "MM-Vet"),)
        },
        change="relative",
    ),
    PaperTable(
        title="SEA Table 3",
        groups={"": ("CapsBench", "Stanford Dogs", "COCO CIDEr", "OCRBench", "MMMU")},
        change="relative",
    ),
)


def difference(first: float | None, other: float | None) -> float | None:
    """VDEP's CHANGE in one column; None where a value is missing."""
    return None if first is None or other is None else other - first


def mean_gain(first: Sequence[float | None], other: Sequence[float | None]) -> float | None:
    """SEA's average gain: the mean over columns of how much per cent `other` has over `first`.

    None where a value is missing, or a first one is zero.
    """
    return plain_mean(
        [
            None if not a or b is None else 100 * (b / a - 1)
            for a, b in zip(first, other, strict=True)
        ]
    )
