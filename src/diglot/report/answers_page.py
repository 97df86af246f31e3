"""Every question of an evaluation with its picture and all answers, as one self-contained page."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from diglot.report.answers_schema import AnsweredQuestion, AnswersPage, read_answers_page
from diglot.report.render import render_page, write_page
from diglot.report.schema import Score
from diglot.report.score_summary import view_summary
from diglot.report.significance import Differences, compare_scores

MOST_PAIRED = 4  # of more runs only neighbours are paired: checkpoints of a run in order
RIGHT = 0.5  # a score of at least this counts as right


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A choice of questions by who is right."""

    title: str
    right: tuple[int, ...] = ()  # runs that are right
    wrong: tuple[int, ...] = ()


def write_answers_page(data: Mapping[str, Any], out: Path) -> Path:
    """Write the page of `data` (`answers_schema.AnswersPage`) to `out`; equal data, equal bytes.

    The page asks nothing of the network, runs no script, and is written whole or not at all.
    Raises DataError naming the field that cannot be used, ConfigError where `out` cannot be
    written.
    """
    return write_page(render_answers_page(read_answers_page(data)), out)


def render_answers_page(page: AnswersPage) -> str:
    """The HTML of a page of answers: each picture, its questions, what each run answered."""
    filters = list_filters(page.runs)
    tasks = list(dict.fromkeys(f"{q.task}, {q.way}" for p in page.pictures for q in p.questions))
    pictures = [
        {
            "picture": shown.picture,
            "questions": [_view_question(q, filters, tasks) for q in shown.questions],
        }
        for shown in page.pictures
    ]
    counts = [
        sum(one["filters"][n] for shown in pictures for one in shown["questions"])
        for n in range(len(filters))
    ]
    return render_page(
        "answers.html.j2",
        {
            "page": page,
            "differences": [_compare_by_tests(page, run, page.runs[0]) for run in page.runs[1:]],
            "index": {run: number for number, run in enumerate(page.runs)},
            "filters": list(zip(filters, counts, strict=True)),
            "tasks": tasks,
            "pictures": pictures,
            **view_summary(page.measures, page.runs),
        },
    )


def _compare_by_tests(page: AnswersPage, run: str, other: str) -> Differences:
    """By the tests of the two on the same items, on which metrics the one is better or worse."""
    heads = {measure.key: measure for measure in page.measures}
    signs = dict[str, int]()
    for pair in page.pairs:
        higher = heads[pair.key].higher_is_better if pair.key in heads else None
        if higher is not None and {pair.first, pair.second} == {run, other}:
            difference = Score(value=pair.value, low=pair.low, high=pair.high, n=pair.n)
            none = Score(value=0.0, low=0.0, high=0.0, n=pair.n)
            sign = compare_scores(difference, none, higher=higher)
            signs[heads[pair.key].title] = sign if pair.first == run else -sign
    return Differences.of_signs(run, other, signs)


def list_filters(runs: tuple[str, ...]) -> list[Filter]:
    """Right and wrong of each run, then for every two runs one right and the other wrong."""
    numbers = range(len(runs))
    own = [Filter(title=f"{runs[n]} right", right=(n,)) for n in numbers]
    own += [Filter(title=f"{runs[n]} wrong", wrong=(n,)) for n in numbers]
    pairs = [
        Filter(title=f"{runs[a]} right, {runs[b]} wrong", right=(a,), wrong=(b,))
        for a, b in permutations(numbers, 2)
        if len(runs) <= MOST_PAIRED or abs(a - b) == 1
    ]
    return pairs + own


def _view_question(
    question: AnsweredQuestion, filters: list[Filter], tasks: list[str]
) -> dict[str, Any]:
    right = [None if a.score is None else a.score >= RIGHT for a in question.answers]
    return {
        "question": question,
        "right": right,
        "task": tasks.index(f"{question.task}, {question.way}"),
        "filters": [
            all(right[n] is True for n in one.right) and all(right[n] is False for n in one.wrong)
            for one in filters
        ],
    }
