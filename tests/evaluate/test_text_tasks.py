"""Tasks on pages of words and charts: true of what is drawn there, scored as papers do."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError
from diglot.core.progress import ignore_progress
from diglot.core.types import Sample
from diglot.evaluate.benchmark import make_items
from diglot.evaluate.config import TASK_SCENES, TASK_TEXTS
from diglot.evaluate.items import Item
from diglot.evaluate.question_scenes import Questions, SceneKind, make_questions
from diglot.evaluate.scoring import score_text, score_value
from diglot.evaluate.task import GROUPS, load_tasks
from diglot.evaluate.tasks.presence import _drop_parts_of_texts
from diglot.metrics.matched_negatives import PresenceQuestion
from diglot.synth.scenes.write import write_scenes
from diglot.synth.text_pairs.fonts import find_families
from diglot.synth.text_scenes.compose import TextSceneMaker
from diglot.synth.text_scenes.config import Kind, TextScenesConfig


@cache
def scenes(kind: Kind) -> tuple[Sample, ...]:
    maker = TextSceneMaker(find_families(), TASK_TEXTS, kind, split="test")
    return tuple(maker.scene(index) for index in range(8))


def items_of(name: str, kind: Kind) -> list[Item]:
    (chosen,) = load_tasks([name], {name: {"limit": 10_000}})
    return list(make_items(chosen, scenes(kind), seed=0))


@pytest.mark.parametrize("kind", ["words", "charts"])
def test_every_task_of_the_group_finds_something_to_ask(kind: Kind) -> None:
    for name in GROUPS[kind]:
        items = items_of(name, kind)
        assert items
        assert all(any(item.right) for item in items)
        if name != "chart_values":
            assert {'"' in i.question for i in items} >= {name in ("referring", "presence")}


@pytest.mark.parametrize("kind", ["words", "charts"])
def test_reading_asks_for_each_text_among_similar_ones(kind: Kind) -> None:
    items, by_id = items_of("reading", kind), {scene.id: scene for scene in scenes(kind)}
    texts = [r for s in scenes(kind) for r in s.regions if r.source == f"{kind}/text"]
    assert sorted(item.answer for item in items) == sorted(r.phrase for r in texts)
    for item in items:
        own = {r.phrase for r in by_id[item.scene].regions}
        alike = [c for c in item.candidates if c not in own]
        assert 1 <= len(alike) <= 2
        for other in alike:
            assert sum(a != b for a, b in zip(other, item.answer, strict=True)) == 1


def test_values_are_those_that_captions_state() -> None:
    items, by_id = items_of("chart_values", "charts"), {s.id: s for s in scenes("charts")}
    for item in items:
        part = item.question.removeprefix("What is the value of the ").split("?")[0]
        assert f"The {part} has the value {item.answer}." in by_id[item.scene].caption
        others = [float(c) for c in item.candidates if c != item.answer]
        assert all(abs(v / float(item.answer) - 1) >= 0.1 for v in others)


def test_a_text_within_a_longer_one_is_not_asked_as_absent() -> None:
    scene = next(s for s in scenes("charts") if " " in s.regions[0].phrase)
    word = scene.regions[0].phrase.split()[0]
    asked = [
        PresenceQuestion(0, word, "text", present=False),
        PresenceQuestion(1, word, "text", present=True),
        PresenceQuestion(0, "nowhere", "text", present=False),
    ]
    kept = _drop_parts_of_texts(asked, [scene, scenes("words")[0]])
    assert [ask.name for ask in kept] == ["nowhere"]


@pytest.mark.parametrize("kind", ["words", "charts"])
def test_presence_is_balanced_and_true(kind: Kind) -> None:
    by_id, answers = {s.id: s for s in scenes(kind)}, Counter[tuple[str, str]]()
    for item in items_of("presence", kind):
        called = item.question.removeprefix("Is there ").split(" in the picture")[0]
        name = called.split('"')[1] if '"' in called else called.split(" ", 1)[1]
        own = {r.phrase for r in by_id[item.scene].regions}
        assert (item.answer == "Yes") == (name in own)
        answers[name, item.answer] += 1
    for name in {name for name, _ in answers}:
        assert answers[name, "Yes"] == answers[name, "No"]


def test_scores_of_texts_and_values() -> None:
    """By hand: OCRBench's containment of whole words, ChartQA's 5%."""
    text = {"answer": "way out"}
    for answer, right in (("It says Way Out.", 1), ("way", 0), ("runway out", 0), ("", 0)):
        assert score_text(answer, text) == {"accuracy": right}
    value = {"answer": "1230"}
    for answer, right in (("1,230", 1), ("about 1291.5", 1), ("1292", 0), ("-1230", 0), ("no", 0)):
        assert score_value(answer, value) == {"accuracy": right}


@pytest.mark.parametrize("kind", ["words", "charts"])
def test_pages_are_composed_for_a_benchmark(kind: SceneKind, tmp_path: Path) -> None:
    text = TextScenesConfig(mentions=(99, 99), values=True, held_out_words=0.2)
    questions = Questions(
        data=None, split="test_words", count=3, scene=TASK_SCENES, seed=0, kind=kind, text=text
    )
    benchmark = make_questions(load_tasks(["reading"], {}), questions, tmp_path, ignore_progress)
    assert benchmark.items
    assert (tmp_path / f"scenes_{kind}").is_dir()


def test_pages_that_name_a_part_are_refused_for_absence(tmp_path: Path) -> None:
    maker = TextSceneMaker(find_families(), TextScenesConfig(), "words", split="test")
    write_scenes(maker, tmp_path / "pages", 3)
    questions = Questions(data=tmp_path / "pages", split="test", count=3, scene=TASK_SCENES, seed=0)
    with pytest.raises(ConfigError, match=r"name only some.*mentions"):
        make_questions(load_tasks(["presence"], {}), questions, tmp_path / "o", ignore_progress)
    assert make_questions(load_tasks(["reading"], {}), questions, tmp_path / "o", ignore_progress)
