"""Scores of several tasks as a radar (SEA Fig. 3b): an axis a task, a polygon a run.

Every axis begins at zero in the middle and ends at the best run's score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from diglot.report.schema import MeasureByRun

RADIUS, MIDDLE, RIM = 150.0, 190.0, 172.0  # of a square of 380
FEWEST, MOST = 3, 16
WAYS = ("likelihood", "generate")


@dataclass(frozen=True, kw_only=True)
class Spoke:
    """One axis: its number, its end, and what it stands for."""

    number: int
    end: tuple[float, float]
    label: tuple[float, float]
    title: str
    best: float  # the score at its end
    unit: str


@dataclass(frozen=True, kw_only=True)
class Radar:
    """All that a template needs; places are in a square of 380."""

    spokes: tuple[Spoke, ...]
    rings: tuple[str, ...]  # polygons at the quarters
    polygons: tuple[str, ...]  # by run
    dots: tuple[tuple[tuple[float, float], ...], ...]  # by run


def draw_radar(measures: Sequence[MeasureByRun], runs: Sequence[str]) -> Radar | None:
    """The radar of the tasks that every run was scored on; None of fewer than three, or one run."""
    kept = [m for m in measures if _is_of_a_task(m) and _is_complete(m, runs)][:MOST]
    if len(kept) < FEWEST or len(runs) < 2:
        return None
    best = [max(_values(measure, runs)) for measure in kept]
    shares = [
        [_values(m, [run])[0] / top for m, top in zip(kept, best, strict=True)] for run in runs
    ]
    count = len(kept)
    points = [[_place(RADIUS * s, n, count) for n, s in enumerate(own)] for own in shares]
    return Radar(
        spokes=tuple(
            Spoke(
                number=n + 1,
                end=_place(RADIUS, n, count),
                label=_place(RIM, n, count),
                title=measure.title,
                best=top,
                unit=measure.unit,
            )
            for n, (measure, top) in enumerate(zip(kept, best, strict=True))
        ),
        rings=tuple(
            _write_polygon([_place(RADIUS * share, n, count) for n in range(count)])
            for share in (0.25, 0.5, 0.75, 1)
        ),
        polygons=tuple(map(_write_polygon, points)),
        dots=tuple(map(tuple, points)),
    )


def _is_of_a_task(measure: MeasureByRun) -> bool:
    """A task's own metric, or a column of a paper's table; neither averages nor measures."""
    own = measure.key.split(".")[-1] in WAYS or measure.key.startswith("lmms.")
    return own and "average" not in measure.key and measure.higher_is_better is True


def _is_complete(measure: MeasureByRun, runs: Sequence[str]) -> bool:
    results = [measure.results.get(run) for run in runs]
    known = [r.value for r in results if r is not None and r.value is not None]
    return len(known) == len(runs) and min(known) >= 0 and max(known) > 0


def _values(measure: MeasureByRun, runs: Sequence[str]) -> list[float]:
    values = [measure.results[run].value for run in runs]
    return [value for value in values if value is not None]


def _place(radius: float, number: int, count: int) -> tuple[float, float]:
    """A point of spoke `number`; the first points up, the others follow clockwise."""
    angle = 2 * math.pi * number / count
    return (
        round(MIDDLE + radius * math.sin(angle), 2),
        round(MIDDLE - radius * math.cos(angle), 2),
    )


def _write_polygon(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
