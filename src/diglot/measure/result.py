"""A measure and its result: what the report shows of it, with the protocol in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diglot.metrics.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure of one model."""

    key: str
    title: str
    what: str  # protocol, why it is fair, where it leans to one objective
    unit: str
    higher_is_better: bool
    chance: float | None  # what a blind guess gets on these items
    estimate: Estimate
    groups: Mapping[str, Estimate] = field(default_factory=dict)  # of the items, by their pictures
    details: Mapping[str, float] = field(default_factory=dict)  # further figures, and what was left

    def head(self) -> dict[str, Any]:
        """What does not depend on the model, as plain JSON."""
        names = ("key", "title", "what", "unit", "higher_is_better", "chance")
        return {name: getattr(self, name) for name in names}

    def result(self) -> dict[str, Any]:
        """What was measured, as plain JSON: value, low, high, n, groups, details."""
        groups = {label: estimate.to_json() for label, estimate in self.groups.items()}
        return {**self.estimate.to_json(), "groups": groups, "details": dict(self.details)}

    def to_json(self, run: str = "model") -> dict[str, Any]:
        """The measure as the report takes it, with this one run."""
        return {**self.head(), "results": {run: self.result()}}


def side_by_side(runs: Mapping[str, Mapping[str, Measure]]) -> list[dict[str, Any]]:
    """Several runs' measures as the report takes them: one entry per measure, results by run."""
    entries: dict[str, dict[str, Any]] = {}
    for run, measures in runs.items():
        for key, measure in measures.items():
            entry = entries.setdefault(key, {**measure.head(), "results": {}})
            entry["results"][run] = measure.result()
    return list(entries.values())
