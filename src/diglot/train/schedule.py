"""The weight of a loss over a run: constant, linear, cosine or a step (Patch-aligned's beta)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from diglot.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A weight that goes from `start` to `end` between two points of a run.

    Points are shares of the run in [0, 1]: 0 is its first step, 1 its last.
    """

    schedule: Literal["constant", "linear", "cosine", "step"] = "constant"
    start: float = 1.0
    end: float | None = None  # None: as start
    begin: float = 0.0  # until here the weight is `start`
    until: float = 1.0  # from here on it is `end`; "step" changes here at once

    def __post_init__(self) -> None:
        if not 0.0 <= self.begin <= self.until <= 1.0:
            raise ConfigError(
                "not a part of the run",
                expected="0 <= begin <= until <= 1",
                got=(self.begin, self.until),
            )
        if not all(math.isfinite(w) and w >= 0 for w in (self.start, self.last)):
            raise ConfigError("a weight must be 0 or more", got=(self.start, self.last))
        if self.schedule == "constant" and self.last != self.start:
            raise ConfigError(
                "a constant weight has one value",
                got=(self.start, self.end),
                fix="Choose schedule: linear, cosine or step.",
            )

    @property
    def last(self) -> float:
        """The weight at the end."""
        return self.start if self.end is None else self.end

    def at(self, progress: float) -> float:
        """The weight when `progress` in [0, 1] of the run is done."""
        if self.schedule == "step":
            return self.last if progress >= self.until else self.start
        length = self.until - self.begin
        done = (progress - self.begin) / length if length else float(progress >= self.until)
        done = min(max(done, 0.0), 1.0)
        if self.schedule == "cosine":
            done = (1.0 - math.cos(math.pi * done)) / 2
        return self.start + (self.last - self.start) * done


def read_schedule(given: Any, *, where: str) -> Schedule:
    """A number, or the fields of a Schedule. Raises ConfigError naming `where`."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = {"start": float(given)}
    if not isinstance(given, Mapping):
        raise ConfigError(
            "not a weight", expected="a number, or schedule: ... and fields", got=given, where=where
        )
    known = Schedule.__dataclass_fields__
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(
            f"unknown field {unknown[0]!r}", expected="one of " + ", ".join(known), where=where
        )
    if given.get("schedule", "constant") not in ("constant", "linear", "cosine", "step"):
        raise ConfigError(
            "no such schedule",
            expected="constant, linear, cosine or step",
            got=given["schedule"],
            where=f"{where}.schedule",
        )
    try:
        numbers = {k: float(v) for k, v in given.items() if k != "schedule" and v is not None}
        return Schedule(schedule=given.get("schedule", "constant"), **numbers)
    except ConfigError as error:
        raise ConfigError(str(error), where=where) from error
    except (TypeError, ValueError) as error:
        raise ConfigError("not a number", got=dict(given), where=where) from error
