"""Checkpoints on one benchmark: asked or read from what was answered, scored, and compared."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diglot.core.progress import Report, rename_stages
from diglot.core.result import Measure, side_by_side
from diglot.evaluate.answers import Answer, open_answers
from diglot.evaluate.ask import AskedItem, AskSettings, ProjectItem, ask_items, list_jobs
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.scores import AREA, MetricScores, average_tasks, score_task, to_measure
from diglot.evaluate.task import WAYS, ChosenTask
from diglot.measure.checkpoint import open_checkpoint
from diglot.measure.kept import checkpoint_digest
from diglot.metrics.paired import paired_difference
from diglot.models.vlm import VLM


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One checkpoint's answers and scores."""

    label: str
    digest: str  # of its weights
    jobs: tuple[AskedItem, ...]
    answers: Mapping[str, Answer]  # by the jobs' keys
    scores: tuple[MetricScores, ...]


def evaluate_checkpoint(
    folder: Path,
    label: str,
    benchmark: Benchmark,
    tasks: Sequence[ChosenTask],
    settings: AskSettings,
    kept: Path,
    report: Report,
    *,
    projecting: Callable[[VLM], ProjectItem] | None = None,
) -> Evaluated:
    """The scores of a checkpoint folder; what was answered before is read from the folder `kept`.

    `projecting` makes of the model what `ask_items` takes as `project`.

    Raises ConfigError for a checkpoint that cannot be read, DataError for an item that cannot be
    asked.
    """
    digest = checkpoint_digest(folder)
    jobs = list_jobs(benchmark, tasks, settings)
    with open_answers(kept, digest) as answers:
        if any(job.key not in answers for job in jobs):
            named = rename_stages(report, lambda stage: f"{stage} {label}")
            vlm = open_checkpoint(folder)
            project = projecting(vlm) if projecting else None
            ask_items(vlm, benchmark, jobs, answers, settings, named, project=project)
        scores = [one for chosen in tasks for one in score_task(chosen, jobs, answers)]
        found = {job.key: answers[job.key] for job in jobs}
    return Evaluated(
        label=label, digest=digest, jobs=tuple(jobs), answers=found, scores=tuple(scores)
    )


def list_measures(evaluated: Sequence[Evaluated], *, seed: int) -> list[dict[str, Any]]:
    """All measures of all checkpoints side by side, as `core.result` writes them.

    Every checkpoint gets the same bootstrap draws.
    """
    runs = []
    for one in evaluated:
        measures = {m.key: m.to_json(one.label) for m in _measures_of(one, seed)}
        runs.append(measures)
    return list(side_by_side(runs).values())


def _measures_of(one: Evaluated, seed: int) -> Iterator[Measure]:
    for scores in one.scores:
        yield to_measure(scores, generator=np.random.default_rng(seed))
    for way in WAYS:
        average = average_tasks(one.scores, way, generator=np.random.default_rng(seed))
        if average is not None:
            yield average


def compare_pairs(evaluated: Sequence[Evaluated], *, seed: int) -> list[dict[str, Any]]:
    """Every two checkpoints on every metric: mean difference, its interval and p, as plain JSON."""
    found = []
    for first, second in itertools.combinations(evaluated, 2):
        others = {scores.key: scores for scores in second.scores}
        for scores in first.scores:
            other = others.get(scores.key)
            if other is None or other.items != scores.items:
                continue  # a metric that one of them has not on the same items
            generator = np.random.default_rng(seed)
            _, cluster = np.unique(scores.clusters, return_inverse=True)
            difference, p = paired_difference(
                scores.values, other.values, cluster, generator=generator
            )
            if scores.metric == AREA:  # an item's part in it may lie outside 0 to 1
                difference = difference.within(-1.0, 1.0)
            pair = {"first": first.label, "second": second.label, "key": scores.key}
            found.append({**pair, "difference": difference.to_json(), "p": p})
    return found
