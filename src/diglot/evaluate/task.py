"""A task: questions with their truth made from data, and the scores of written answers.

A task is a file of `evaluate/tasks` with a frozen dataclass `Config` and `build(config)`, which
returns a `Task`; one of your own is named by its dotted path.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from diglot.config.parts import as_plain, load_part, part_config, split_part
from diglot.config.ranges import check_ranges
from diglot.core.errors import ConfigError
from diglot.core.types import Picture, Sample
from diglot.evaluate import scoring
from diglot.evaluate.items import Item

PARTS = "diglot.evaluate.tasks"
Way = Literal["likelihood", "generate"]
WAYS: tuple[Way, ...] = ("likelihood", "generate")
Length = Literal["sum", "mean", "pmi"]
GROUPS: dict[str, tuple[str, ...]] = {
    "offline": (
        *("referring", "presence", "counting", "colour", "position"),
        *("region_naming", "description"),
    ),
    "words": ("referring", "presence", "region_naming", "reading"),
    "charts": ("referring", "presence", "region_naming", "reading", "chart_values"),
}

Make = Callable[[Sequence[Sample], np.random.Generator], Iterable[Item]]
Scores = Mapping[str, Sequence[float | None]]
ScoreAll = Callable[[Sequence[Item], Sequence[str]], Scores]


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """How a task's items are asked; the `Config` of a task adds its own fields."""

    limit: int = 200
    """At most so many questions, drawn at random."""
    ways: tuple[Way, ...] = WAYS
    """likelihood (of the candidates, where there are any), generate (a written answer), or both."""
    length: Length = "sum"
    """How candidates compare: by log-probability (sum), per token (mean), or less what the question
    without the picture leads to expect (pmi; see `metrics.name_score`)."""
    max_tokens: int = 16
    """Longest written answer."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.limit < 1 or self.max_tokens < 1:
            raise ConfigError(
                "limit and max_tokens must be at least 1", got=(self.limit, self.max_tokens)
            )
        if not self.ways or set(self.ways) - set(WAYS):
            raise ConfigError("unknown way to ask", expected=" or ".join(WAYS), got=self.ways)


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that an evaluation does with one kind of question."""

    title: str
    what: str
    """The protocol in words."""
    make: Make
    """The items of some scenes; those of a task without pictures ignore the scenes."""
    scorer: str | ScoreAll
    """Scores of written answers: the name of a function of `evaluate.scoring`, or a function of all
    items and answers that gives by metric a value of every item, None where it has none."""
    asked: AskConfig
    """How its items are asked."""
    metric: str = "accuracy"
    """The metric of its scorer that stands for the task."""
    needs_scenes: bool = True
    """Makes its items of scenes."""
    picture_of: Callable[[Item], Picture] | None = None
    """The picture of an item that is of no scene, its bytes or its file."""

    def score(self, items: Sequence[Item], answers: Sequence[str]) -> Scores:
        """By metric the value of every item's answer."""
        if not isinstance(self.scorer, str):
            return self.scorer(items, answers)
        score_one = getattr(scoring, self.scorer)
        pairs = zip(items, answers, strict=True)
        scored = [score_one(text, item.to_json()) for item, text in pairs]
        return {metric: [one[metric] for one in scored] for metric in (scored[0] if scored else ())}


@dataclass(frozen=True, kw_only=True)
class ChosenTask:
    """A task with the name and the settings that it was chosen by."""

    key: str
    task: Task
    settings: dict[str, Any]


def load_tasks(names: Sequence[str], options: Mapping[str, Any]) -> list[ChosenTask]:
    """The tasks of some names or groups, in order, each once.

    `options` are settings by task: {counting: {limit: 50}}; one of another name is a task of its
    own there: {mine: {name: counting, limit: 50}}. Raises ConfigError for an unknown task or
    settings, and for options of a task that is not chosen.
    """
    keys = list(dict.fromkeys(key for name in names for key in GROUPS.get(name, (name,))))
    if unused := sorted(set(options) - set(keys)):
        raise ConfigError(
            f"options of a task that is not chosen: {unused[0]!r}",
            expected="one of " + ", ".join(keys),
            where="options",
        )
    return [_load_task(key, options.get(key) or {}) for key in keys]


def _load_task(key: str, settings: Any) -> ChosenTask:
    where = f"options.{key}"
    if not isinstance(settings, Mapping):
        raise ConfigError("not settings", expected="field: value", got=settings, where=where)
    name, own = split_part({"name": key, **settings}, where=where)
    module = load_part(PARTS, name, where="tasks")
    config = part_config(module, own, where=where)
    return ChosenTask(
        key=key, task=module.build(config), settings={"name": name, **as_plain(config)}
    )
