"""What a report is made of: the result JSON of a run, checked once, as frozen records."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from diglot.report.fields import (
    ByRun,
    Count,
    Finite,
    Flag,
    Misfit,
    Named,
    Number,
    Record,
    Text,
    read_record,
)
from diglot.report.scene_schema import Example
from diglot.report.token_schema import Plane


class Score(Record):
    """A measured value with its 95% interval over `n` items; None = not measured."""

    value: Number
    low: Number
    high: Number
    n: Count

    @model_validator(mode="after")
    def check_interval(self) -> Self:
        """Low is at most high."""
        if self.low is not None and self.high is not None and self.low > self.high:
            raise Misfit(f"at most high ({self.high})", ".low")
        return self


class Result(Score):
    """One run's score on one measure, and on named groups of its items."""

    groups: Named[Score] = Field(default={})

    @property
    def score(self) -> Score:
        """The value and interval without the groups."""
        return self


class MeasureByRun(Record):
    """One measure and its results by run; a run without a result was not measured."""

    key: Text
    title: Text
    what: Text  # the protocol, why it is fair, where it leans
    unit: Text
    chance: Number
    higher_is_better: Flag | None  # None: neither side is better by itself
    results: ByRun[Result]


class Curve(Record):
    """Lines over one x axis, by run; a y of None is a gap."""

    title: Text
    x_label: Text
    y_label: Text
    series: ByRun[tuple[tuple[Finite, Number], ...]]


class Timing(Record):
    """How long one stage took."""

    stage: Text
    seconds: Finite
    note: Text = ""


class RunNames(Record):
    """A page of several runs, by their names, in the order of their columns."""

    runs: tuple[Text, ...]

    @field_validator("runs")
    @classmethod
    def check_names(cls, runs: tuple[str, ...]) -> tuple[str, ...]:
        """At least one, none of them twice."""
        if not runs or len(set(runs)) != len(runs):
            raise ValueError("at least one run name, none of them twice")
        return runs


class Report(RunNames):
    """All that a page of runs shows: measures, curves, times and examples."""

    title: Text
    created: Text
    summary: Text
    settings: Named[Text]  # "command", where there, is shown as the way to run it again
    environment: Named[Text]
    measures: tuple[MeasureByRun, ...]
    curves: tuple[Curve, ...]
    timings: tuple[Timing, ...]
    examples: tuple[Example, ...]
    curves_title: Text = "Training"
    source: Text = "report.json beside it"  # what the page is made from
    planes: ByRun[Plane] = Field(default={}, validation_alias="scatter")


def read_report(data: Mapping[str, Any], *, where: str = "report") -> Report:
    """The report in `data`. Raises DataError naming the first field that cannot be used."""
    runs = read_record(RunNames, data, where=where).runs
    return read_record(Report, data, where=where, runs=runs)
