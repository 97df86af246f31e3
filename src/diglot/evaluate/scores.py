"""From answers to scores: each item's values by metric, and every metric's mean and interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diglot.core.result import Estimate, Measure
from diglot.evaluate.answers import Answer, Answers
from diglot.evaluate.ask import AskedItem
from diglot.evaluate.items import Item
from diglot.evaluate.task import ChosenTask, Length, Way
from diglot.measure.groups import OTHER, by_group
from diglot.metrics.auc import auc_influence
from diglot.metrics.bootstrap import mean_interval
from diglot.metrics.choice import choice_chance, choice_credit
from diglot.metrics.paired import mean_of_means_interval

DRAWS = 1000
AREA = "AUC"  # a figure of all items together: a group's mean is none of the group
WAY_TITLES: dict[Way, str] = {"likelihood": "by likelihood", "generate": "written"}


@dataclass(frozen=True, kw_only=True)
class MetricScores:
    """One metric of one task asked in one way: a value of every item that has one."""

    key: str  # "counting.likelihood", "referring.generate.mean_iou"
    task: ChosenTask
    way: Way
    metric: str
    main: bool  # stands for the task in averages
    items: tuple[Item, ...]
    values: tuple[float, ...]

    @property
    def clusters(self) -> list[str]:
        """What the bootstrap draws: the scene of each item, or the item where it has none."""
        return [item.scene or item.id for item in self.items]


def score_task(
    chosen: ChosenTask, jobs: Sequence[AskedItem], answers: Answers
) -> list[MetricScores]:
    """The scores of one task in all its ways; jobs of other tasks are passed over."""
    own = [job for job in jobs if job.task.key == chosen.key]
    found: list[MetricScores] = []
    if chosen_jobs := [job for job in own if job.way == "likelihood"]:
        credit = [candidate_credit(j.item, answers[j.key], chosen) for j in chosen_jobs]
        found.append(_score_metric(chosen, chosen_jobs, "accuracy", credit, main=True))
        if areas := _area_values(chosen, chosen_jobs, answers):
            found.append(_score_metric(chosen, chosen_jobs, AREA, areas, main=False))
    if written := [job for job in own if job.way == "generate"]:
        texts = [str(answers[job.key]["text"]) for job in written]
        scores = chosen.task.score([job.item for job in written], texts)
        for metric, values in scores.items():
            main = metric == chosen.task.metric
            found.append(_score_metric(chosen, written, metric, values, main=main))
    return found


def _area_values(
    chosen: ChosenTask, jobs: Sequence[AskedItem], answers: Answers
) -> Sequence[float]:
    """Each item's part in the AUC; none unless all are asked with the same two candidates.

    A model that leans to one answer throughout is at chance in accuracy, however well it knows
    one picture from another; the AUC does not depend on where it would say yes.
    """
    pairs = {job.item.candidates for job in jobs}
    first = [job.item.right[0] for job in jobs]
    if len(pairs) != 1 or len(*pairs) != 2 or len(set(first)) != 2:
        return ()
    scores = [candidate_scores(answers[j.key], chosen.task.asked.length) for j in jobs]
    return auc_influence([score[0] - score[1] for score in scores], first).tolist()


def candidate_scores(answer: Answer, length: Length) -> np.ndarray:
    """What the candidates compare by, float64 (candidates,); higher is better."""
    log_prob = np.asarray(answer["log_prob"], np.float64)
    match length:
        case "sum":
            return log_prob
        case "mean":
            return log_prob / np.asarray(answer["tokens"])
        case "pmi":
            return log_prob - np.asarray(answer["prior"], np.float64)


def candidate_credit(item: Item, answer: Answer, chosen: ChosenTask) -> float:
    """1 where the likeliest candidate is right, 0 where wrong; ties share."""
    scores = candidate_scores(answer, chosen.task.asked.length)
    return choice_credit(scores, np.array(item.right))


def _score_metric(
    chosen: ChosenTask,
    jobs: Sequence[AskedItem],
    metric: str,
    values: Sequence[float | None],
    *,
    main: bool,
) -> MetricScores:
    kept = [(j.item, float(v)) for j, v in zip(jobs, values, strict=True) if v is not None]
    way = jobs[0].way
    name = [] if main else [metric.lower().replace(" ", "_")]
    return MetricScores(
        key=".".join([chosen.key, way, *name]),
        task=chosen,
        way=way,
        metric=metric,
        main=main,
        items=tuple(item for item, _ in kept),
        values=tuple(value for _, value in kept),
    )


def to_measure(scores: MetricScores, *, generator: np.random.Generator) -> Measure:
    """The mean over items with its interval, whole and by group.

    The interval is the percentile bootstrap over scenes. A drawn mean stays within what a score
    can be, but an item's part in an AUC may lie outside 0 and 1: its interval is cut there.
    """
    _, cluster = np.unique(scores.clusters, return_inverse=True)

    def mean(indices: Sequence[int]) -> Estimate:
        values = [scores.values[i] for i in indices]
        found = mean_interval(
            values, [int(cluster[i]) for i in indices], generator=generator, draws=DRAWS
        )
        return found.within(0.0, 1.0) if scores.metric == AREA else found

    task = scores.task.task
    chosen = scores.way == "likelihood"
    chances = [choice_chance(np.array(item.right)) for item in scores.items] if chosen else []
    title = f"{task.title}, {WAY_TITLES[scores.way]}"
    return Measure(
        key=scores.key,
        title=title if scores.main else f"{title}: {scores.metric}",
        what=task.what,
        unit=scores.metric,
        higher_is_better=None if scores.metric == "share of yes" else True,
        chance=float(np.mean(chances)) if chances else None,
        estimate=mean(range(len(scores.values))),
        groups=by_group([item.group or OTHER for item in scores.items], mean)
        if scores.metric != AREA
        else {},
        options=scores.task.settings,
    )


def average_tasks(
    found: Sequence[MetricScores], way: Way, *, generator: np.random.Generator
) -> Measure | None:
    """The plain mean of the tasks' main metrics in one way; None of fewer than two tasks."""
    own = [scores for scores in found if scores.main and scores.way == way and scores.values]
    if len(own) < 2:
        return None
    estimate = mean_of_means_interval(
        [scores.values for scores in own],
        [scores.clusters for scores in own],
        generator=generator,
        draws=DRAWS,
    )
    titles = ", ".join(scores.task.task.title for scores in own)
    return Measure(
        key=f"average.{way}",
        title=f"Average of all tasks, {WAY_TITLES[way]}",
        what=f"The plain mean of {titles}.",
        unit="mean",
        higher_is_better=True,
        chance=None,
        estimate=estimate,
    )


def by_key(found: Sequence[MetricScores]) -> Mapping[str, MetricScores]:
    """Scores by their key."""
    return {scores.key: scores for scores in found}
