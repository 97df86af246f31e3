"""Scores of few answers: an interval stays within what the score can be."""

import numpy as np
import pytest

from diglot.evaluate.ask import AskedItem
from diglot.evaluate.items import Item
from diglot.evaluate.run import Evaluated, compare_pairs
from diglot.evaluate.scores import score_task, to_measure
from diglot.evaluate.task import load_tasks

LEANINGS = (3.0, 2.0, 1.5, 0.0, 1.0, 0.5)


def evaluate(label: str, leanings: tuple[float, ...]) -> Evaluated:
    """A checkpoint that was asked yes or no of six pictures, with these log-ratios of yes."""
    (chosen,) = load_tasks(["presence"], {})
    items = [
        Item(
            id=str(number),
            task="presence",
            scene=f"s{number}",
            question="Is there a cat?",
            candidates=("Yes", "No"),
            answer=("Yes", "No")[number % 2],
            right=(number % 2 == 0, number % 2 == 1),
        )
        for number in range(len(leanings))
    ]
    jobs = tuple(AskedItem(key=i.id, task=chosen, item=i, way="likelihood") for i in items)
    answers = {
        job.key: {"log_prob": [leaning, 0.0], "tokens": [1, 1], "prior": [0.0, 0.0]}
        for job, leaning in zip(jobs, leanings, strict=True)
    }
    scores = tuple(score_task(chosen, list(jobs), answers))
    return Evaluated(label=label, digest="", jobs=jobs, answers=answers, scores=scores)


def test_the_interval_of_an_auc_is_within_0_and_1() -> None:
    area = evaluate("one", LEANINGS).scores[1]
    assert max(area.values) > 1
    estimate = to_measure(area, generator=np.random.default_rng(0)).estimate
    assert estimate.value == pytest.approx(7 / 9)
    assert (estimate.low, estimate.high) == (pytest.approx(1 / 3), 1.0)


def test_a_difference_of_aucs_is_within_its_bounds() -> None:
    against = tuple(-leaning for leaning in LEANINGS)
    pairs = compare_pairs([evaluate("one", LEANINGS), evaluate("two", against)], seed=0)
    for pair in pairs:
        assert -1.0 <= pair["difference"]["low"] <= pair["difference"]["high"] <= 1.0
