"""The papers' tables: which columns make a group, and the averages as each paper takes them.

MMCS Tables 1 to 4: Grounding is the plain mean of the eight splits of RefCOCO/+/g, Perception of
seven benchmarks, General of six (MME over its 2800 points), and All the plain mean of the three
groups, however many columns they have. (Table 2's own averages, 55.20 and 57.46 in its first two
rows, are no plain mean of its columns; Table 4's 55.77 and 58.24 are.)
"""

from collections.abc import Mapping, Sequence

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
