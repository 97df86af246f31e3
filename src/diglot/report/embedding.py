"""Figures of the embedding space: entropy before and after the projector, tokens among words."""

from collections.abc import Sequence
from dataclasses import dataclass

from diglot.report.axes import format_value
from diglot.report.schema import Report
from diglot.report.token_schema import Plane

ENTROPY = ("entropy_before", "entropy_after")


@dataclass(frozen=True, kw_only=True)
class EntropyBar:
    """One run's entropy on one side of the projector; width in percent of the largest bar."""

    run: int
    side: str  # "before" or "after"
    value: str
    width: float


@dataclass(frozen=True, kw_only=True)
class PlaneView:
    """One run's tokens and words as two paths of dots in a square of side 100."""

    run: int
    method: str
    visual: str
    words: str
    counts: tuple[int, int]


def entropy_values(report: Report) -> dict[str, tuple[float | None, ...]]:
    """Entropy before and after the projector of every run that has one (Patch-aligned, Table 1)."""
    found = {m.key: m.results for m in report.measures if m.key in ENTROPY}
    values = {
        run: tuple(
            found[key][run].score.value if key in found and run in found[key] else None
            for key in ENTROPY
        )
        for run in report.runs
    }
    return {run: pair for run, pair in values.items() if any(v is not None for v in pair)}


def entropy_bars(report: Report) -> list[EntropyBar]:
    """Two bars a run; what was not measured has none."""
    values = entropy_values(report)
    known = [v for pair in values.values() for v in pair if v is not None]
    largest = max(known, default=0.0) or 1.0
    return [
        EntropyBar(
            run=report.runs.index(run),
            side=side,
            value=format_value(value),
            width=round(100 * max(value, 0.0) / largest, 2),
        )
        for run, pair in values.items()
        for side, value in zip(("before", "after"), pair, strict=True)
        if value is not None
    ]


def view_plane(plane: Plane, run: int) -> PlaneView:
    """Dots of a plane; its y axis points up."""
    return PlaneView(
        run=run,
        method=plane.method,
        visual=_draw_dots(plane.visual),
        words=_draw_dots(plane.words),
        counts=(len(plane.visual), len(plane.words)),
    )


def _draw_dots(points: Sequence[tuple[float, float]]) -> str:
    # a stroke of no length with round ends is a dot
    return "".join(f"M{100 * x:.2f} {100 * (1 - y):.2f}h0" for x, y in points)
