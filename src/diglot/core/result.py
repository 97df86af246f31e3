"""A measure and its result: what the report shows of it, with the protocol in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95% interval over `n` items. None = nothing to measure; never NaN."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def within(self, least: float, most: float) -> "Estimate":
        """The estimate with its interval cut at the least and the most that the figure can be.

        For intervals that reach beyond: those of means of parts that are not bounded themselves,
        and those of so many standard errors. A percentile of bootstrapped figures stays within
        their bounds by itself. Infinity is no bound.
        """
        low, high = (
            None if end is None else min(max(end, least), most) for end in (self.low, self.high)
        )
        return replace(self, low=low, high=high)

    def to_json(self) -> dict[str, float | int | None]:
        """A dict of the four fields, for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


# What does not depend on the model.
HEAD = ("key", "title", "what", "unit", "higher_is_better", "chance")

NOT_MEASURED = Estimate(value=None, low=None, high=None, n=0)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of one model: its interval, what it means, its parts by group and layer."""

    key: str
    title: str
    what: str  # protocol, why it is fair, where it leans to one objective
    unit: str
    higher_is_better: bool | None  # None: neither side is better by itself
    chance: float | None  # what a blind guess gets on these items
    estimate: Estimate
    groups: Mapping[str, Estimate] = field(default_factory=dict)  # of the items, by their pictures
    details: Mapping[str, float] = field(default_factory=dict)  # further figures, and what was left
    layers: Mapping[str, Sequence[float | None]] = field(default_factory=dict)  # by LLM layer
    layers_unit: str = ""  # of `layers`, where it is not that of the value
    options: Mapping[str, Any] = field(default_factory=dict)  # settings of the measure

    def head(self) -> dict[str, Any]:
        """What does not depend on the model, as plain JSON, and the options used."""
        options = {"options": dict(self.options)} if self.options else {}
        return {**{name: getattr(self, name) for name in HEAD}, **options}

    def result(self) -> dict[str, Any]:
        """What was measured, as plain JSON: value, low, high, n, groups, details, layers."""
        groups = {label: estimate.to_json() for label, estimate in self.groups.items()}
        layers = {name: list(values) for name, values in self.layers.items()}
        further: dict[str, Any] = {"layers": layers} if layers else {}
        if layers and self.layers_unit:
            further["layers_unit"] = self.layers_unit
        return {
            **self.estimate.to_json(),
            "groups": groups,
            "details": dict(self.details),
            **further,
        }

    def to_json(self, run: str = "model") -> dict[str, Any]:
        """The measure as the report takes it, with this one run."""
        return {**self.head(), "results": {run: self.result()}}


def side_by_side(runs: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Measures of several runs as `Measure.to_json` writes them, as one entry per key.

    The heads are those of the first run that has the measure.
    """
    entries: dict[str, dict[str, Any]] = {}
    for measures in runs:
        for key, measure in measures.items():
            entry = entries.setdefault(key, {**measure, "results": {}})
            entry["results"] = entry["results"] | measure["results"]
    return entries
