"""What a report is made of: the result JSON of a run, checked once, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diglot.report.fields import Field
from diglot.report.scene_schema import Example, read_example
from diglot.report.token_schema import Plane, read_plane


@dataclass(frozen=True, kw_only=True)
class Score:
    """A measured value with its 95% interval over `n` items; None = not measured."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run's score on one measure, and on named groups of its items."""

    score: Score
    groups: dict[str, Score]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure and its results by run; a run without a result was not measured."""

    key: str
    title: str
    what: str  # the protocol, why it is fair, where it leans
    unit: str
    chance: float | None
    higher_is_better: bool | None  # None: neither side is better by itself
    results: dict[str, Result]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Lines over one x axis, by run; a y of None is a gap."""

    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[tuple[float, float | None], ...]]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one stage took."""

    stage: str
    seconds: float
    note: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole report."""

    title: str
    created: str
    summary: str
    runs: tuple[str, ...]
    settings: dict[str, str]  # "command", where there, is shown as the way to run it again
    environment: dict[str, str]
    measures: tuple[Measure, ...]
    curves: tuple[Curve, ...]
    timings: tuple[Timing, ...]
    examples: tuple[Example, ...]
    curves_title: str = "Training"
    source: str = "report.json beside it"  # what the page is made from
    planes: dict[str, Plane] = field(default_factory=dict)  # by run


TEXTS = ("curves_title", "source")


def read_report(data: Mapping[str, Any], *, where: str = "report") -> Report:
    """The report in `data`. Raises DataError naming the first field that cannot be used."""
    root = Field(data, where)
    runs = read_runs(root.at("runs"))
    further = {name: field.text() for name in TEXTS if (field := root.find(name))}
    planes = root.find("scatter")
    return Report(
        title=root.at("title").text(),
        created=root.at("created").text(),
        summary=root.at("summary").text(),
        runs=runs,
        settings=root.at("settings").text_map(),
        environment=root.at("environment").text_map(),
        measures=tuple(read_measure(f, runs) for f in root.at("measures").items()),
        curves=tuple(_read_curve(f, runs) for f in root.at("curves").items()),
        timings=tuple(_read_timing(f) for f in root.at("timings").items()),
        examples=tuple(read_example(f, runs) for f in root.at("examples").items()),
        planes={r: read_plane(f) for r, f in planes.by_run(runs).items()} if planes else {},
        **further,
    )


def read_runs(field: Field) -> tuple[str, ...]:
    """The names of the runs. Raises DataError for none, or two alike."""
    runs = field.texts()
    if not runs or len(set(runs)) != len(runs):
        raise field.wrong("at least one run name, none of them twice")
    return runs


def read_measure(field: Field, runs: tuple[str, ...]) -> Measure:
    """One measure with its results by run. Raises DataError naming the field."""
    better = field.at("higher_is_better")
    return Measure(
        key=field.at("key").text(),
        title=field.at("title").text(),
        what=field.at("what").text(),
        unit=field.at("unit").text(),
        chance=field.at("chance").number(),
        higher_is_better=better.flag() if better.value is not None else None,
        results={run: _read_result(f) for run, f in field.at("results").by_run(runs).items()},
    )


def _read_result(field: Field) -> Result:
    groups = field.find("groups")
    return Result(
        score=_read_score(field),
        groups={k: _read_score(f) for k, f in groups.mapping().items()} if groups else {},
    )


def _read_score(field: Field) -> Score:
    low, high = field.at("low").number(), field.at("high").number()
    if low is not None and high is not None and low > high:
        raise field.at("low").wrong(f"at most high ({high})")
    return Score(value=field.at("value").number(), low=low, high=high, n=field.at("n").count())


def _read_curve(field: Field, runs: tuple[str, ...]) -> Curve:
    series = field.at("series").by_run(runs)
    return Curve(
        title=field.at("title").text(),
        x_label=field.at("x_label").text(),
        y_label=field.at("y_label").text(),
        series={run: tuple(_read_point(p) for p in f.items()) for run, f in series.items()},
    )


def _read_point(field: Field) -> tuple[float, float | None]:
    x, y = field.items(length=2)
    return x.finite(), y.number()


def _read_timing(field: Field) -> Timing:
    note = field.find("note")
    return Timing(
        stage=field.at("stage").text(),
        seconds=field.at("seconds").finite(),
        note=note.text() if note else "",
    )
