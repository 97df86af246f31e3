"""The data of the page of answers: every question with its picture and all checkpoints' answers."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image

from diglot.evaluate.answers import Answer
from diglot.evaluate.ask import AskedItem
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.run import Evaluated
from diglot.evaluate.scores import WAY_TITLES, candidate_scores

Picture = tuple[Image.Image | None, list[dict[str, Any]]]


def list_questions(
    benchmark: Benchmark, evaluated: Sequence[Evaluated], *, pictures: int
) -> Iterator[Picture]:
    """The first so many pictures (or groups without one), each with its questions and answers.

    A question's "answers" hold, by checkpoint, the text and a score in [0, 1] or None.
    """
    values = [_main_values(one) for one in evaluated]
    groups = groupby(evaluated[0].jobs, key=lambda job: job.item.image)
    for count, (image, jobs) in enumerate(groups):
        if count >= pictures:
            return
        own = list(jobs)
        picture = benchmark.picture(own[0].item) if image else None
        yield picture, [_question_entry(job, evaluated, values) for job in own]


def _main_values(one: Evaluated) -> dict[tuple[str, str], float]:
    """The main metric's value by (item, way)."""
    return {
        (item.id, scores.way): value
        for scores in one.scores
        if scores.main
        for item, value in zip(scores.items, scores.values, strict=True)
    }


def _question_entry(
    job: AskedItem, evaluated: Sequence[Evaluated], values: Sequence[dict[tuple[str, str], float]]
) -> dict[str, Any]:
    return {
        "id": job.item.id,
        "task": job.task.task.title,
        "way": WAY_TITLES[job.way],
        "question": job.item.question or "(a caption)",
        "right": job.item.answer,
        "candidates": list(job.item.candidates) if job.way == "likelihood" else [],
        "answers": [
            {
                "text": answer_text(job, one.answers[job.key]),
                "score": of_run.get((job.item.id, job.way)),
            }
            for one, of_run in zip(evaluated, values, strict=True)
        ],
    }


def answer_text(job: AskedItem, answer: Answer) -> str:
    """What was written, or the candidate that was chosen."""
    if job.way == "generate":
        return str(answer["text"])
    best = int(np.argmax(candidate_scores(answer, job.task.task.asked.length)))
    return job.item.candidates[best]
