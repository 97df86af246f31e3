"""Questions about scenes: every answer true, none that the question betrays."""

import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
from tests.synth.scenes.shapes import pools

from diglot.core.conversation import Turn
from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.records import open_dataset
from diglot.synth.scenes import words
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.conversations import KINDS, ConversationMaker, QuestionsConfig
from diglot.synth.scenes.write import write_scenes

SCENES = ScenesConfig(
    image_px=96,
    object_px=(16, 24),
    objects=(2, 5),
    repeat_probability=0.6,
    size_probability=0.2,
    colour_probability=0.6,
    texture_share=1.0,
)
COUNT = 160
SIDES = {"to the left of": (0, -1), "to the right of": (0, 1), "above": (1, -1), "below": (1, 1)}
FORMS = {
    "presence": r"Is there an? (.+) in the picture\?|Does it show an? (.+)\?",
    "total": r"How many objects are in the picture\?|How many things does it show\?",
    "count": r"How many (.+) are there\?|How many (.+) does the picture show\?",
    "relation": r"Is the (.+) (to the left of|to the right of|above|below) the (.+)\?",
    "colour": r"What colour is the (.+)\?|Which colour does the (.+) have\?",
    "place": r"Where is the (.+)\?|Where in the picture is the (.+)\?",
    "name": r"What is in the region (\[.+\])\?|Name the object in the box (\[.+\])\.",
    "box": r"Give the box of the (.+)\.|Which region shows the (.+)\?",
    "description": r"Describe the picture\.|What does the picture show\?",
}


def maker(**options: object) -> ConversationMaker:
    return ConversationMaker(SceneMaker(pools(), SCENES, seed=3), QuestionsConfig(**options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def talk() -> list[tuple[Sample, Sample]]:
    """Each scene with its caption, and as a conversation."""
    made = maker(exchanges=5)
    made.scenes.scene = cache(made.scenes.scene)  # type: ignore[method-assign]
    return [(made.scenes.scene(i), made.scene(i)) for i in range(COUNT)]


def exchanges(turns: tuple[Turn, ...]) -> list[tuple[str, tuple[str, ...], str]]:
    """(kind, what the question names, the answer) of every exchange."""
    found = []
    for question, answer in zip(turns[::2], turns[1::2], strict=True):
        text = question.text.removeprefix("<image>\n")
        kind, match = next((k, m) for k, f in FORMS.items() if (m := re.fullmatch(f, text)))
        found.append((kind, tuple(g for g in match.groups() if g), answer.text))
    return found


def find(scene: Sample, called: str) -> list[int]:
    return [i for i, r in enumerate(scene.regions) if called in (r.label, r.phrase)]


def the(scene: Sample, called: str) -> tuple[float, float, float, float]:
    """The box of the only object that is called so."""
    (index,) = find(scene, called)
    return scene.regions[index].box


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"\d\.\d\d", text)]


def is_true(scene: Sample, kind: str, asked: tuple[str, ...], answer: str) -> bool:
    """The answer computed another way, from the scene's boxes, labels and masks."""
    labels = [r.label or "" for r in scene.regions]
    yes, said = answer == "Yes.", answer.rstrip(".").lower()
    if kind == "presence":
        return yes == (asked[0] in labels)
    if kind == "total":
        return said == words.number_words(len(labels))
    if kind == "count":
        count = [words.pluralise_name(label) for label in labels].count(asked[0])
        return said == ("none", "one", "two")[count]
    if kind == "relation":
        first, second = the(scene, asked[0]), the(scene, asked[2])
        axis, sign = SIDES[asked[1]]
        moved = [first[a] + first[a + 2] - second[a] - second[a + 2] for a in (0, 1)]
        return yes == (moved[axis] * sign > 0 and abs(moved[axis]) >= abs(moved[1 - axis]))
    if kind == "colour":
        (index,) = find(scene, asked[0])
        return f"{said} {labels[index]}" in scene.regions[index].phrase
    if kind == "place":
        box = the(scene, asked[0])
        return said == words.name_place(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), 96)
    if kind == "name":
        shares = numbers(asked[0])
        near = [
            r.phrase
            for r in scene.regions
            if all(abs(a / 96 - b) <= 0.0051 for a, b in zip(r.box, shares, strict=True))
        ]
        return said.split(" ", 1)[1] in near
    if kind == "box":
        box = the(scene, asked[0])
        return all(abs(a / 96 - b) <= 0.0051 for a, b in zip(box, numbers(answer), strict=True))
    return answer == scene.caption


def test_every_answer_is_true(talk: list[tuple[Sample, Sample]]) -> None:
    kinds: Counter[str] = Counter()
    for scene, record in talk:
        for kind, asked, answer in exchanges(record.turns):
            assert is_true(scene, kind, asked, answer), (kind, asked, answer, scene.regions)
            kinds[kind] += 1
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 10


def test_presence_of_a_kind_is_affirmed_as_often_as_denied(
    talk: list[tuple[Sample, Sample]],
) -> None:
    answers = defaultdict(Counter)
    for _, record in talk:
        for kind, asked, answer in exchanges(record.turns):
            if kind == "presence":
                answers[asked[0]][answer] += 1
    assert len(answers) > 8
    for name, counts in answers.items():
        assert counts["Yes."] == counts["No."], name


def test_questions_alone_do_not_answer(talk: list[tuple[Sample, Sample]]) -> None:
    """The commonest answer of a kind is not much commoner than an even choice."""
    answers = defaultdict(Counter)
    for _, record in talk:
        for kind, _, answer in exchanges(record.turns):
            answers[kind][answer] += 1
    even = {"relation": 1 / 2, "count": 1 / 3, "total": 1 / 4, "colour": 1 / 7, "place": 1 / 9}
    for kind, share in even.items():
        total = answers[kind].total()
        spread = (share * (1 - share) / total) ** 0.5
        assert len(answers[kind]) == round(1 / share), kind
        assert answers[kind].most_common(1)[0][1] / total < share + 4 * spread, kind


def test_no_object_is_spoken_of_twice_before_the_description(
    talk: list[tuple[Sample, Sample]],
) -> None:
    """What one answer gives away of an object is asked nowhere else."""
    for _, record in talk:
        kinds = [kind for kind, _, _ in exchanges(record.turns)]
        end = 2 * kinds.index("description") if "description" in kinds else len(record.turns)
        boxes = Counter(r.box for r in record.regions if r.turn is not None and r.turn < end)
        assert max(boxes.values(), default=1) == 1


def test_every_object_is_a_region_of_the_record(talk: list[tuple[Sample, Sample]]) -> None:
    for scene, record in talk:
        assert {r.box for r in scene.regions} == {r.box for r in record.regions}
        for region in record.regions:
            assert region.mask is not None
            assert (region.span is None) == (region.turn is None)


def test_written_conversations_resume(tmp_path: Path) -> None:
    write_scenes(maker(), tmp_path / "parts", 3)
    write_scenes(maker(), tmp_path / "parts", 6)
    write_scenes(maker(), tmp_path / "whole", 6)
    parts, whole = (open_dataset(tmp_path / name) for name in ("parts", "whole"))
    assert [parts[i] for i in range(6)] == [whole[i] for i in range(6)]
    with pytest.raises(ConfigError, match=r"other settings|made"):
        write_scenes(maker(kinds=("total",)), tmp_path / "parts", 6)
    with pytest.raises(ConfigError, match="exchanges"):
        QuestionsConfig(exchanges=0)
    with pytest.raises(ConfigError, match=r"presence, total.*jokes"):
        QuestionsConfig(kinds=("jokes",))


def test_presence_of_many_kinds_is_affirmed_as_often_as_denied() -> None:
    made, answers = maker(kinds=("presence", "count"), presences=4), defaultdict(Counter)
    for index in range(COUNT):
        scene, record = made.scenes.scene(index), made.scene(index)
        asked = exchanges(record.turns)
        assert all(is_true(scene, *exchange) for exchange in asked)
        names = [of[0] for kind, of, _ in asked if kind == "presence"]
        assert len(names) == len(set(names)) <= 4
        counted = [of[0] for kind, of, _ in asked if kind == "count"]
        assert not {words.pluralise_name(name) for name in names[1:]} & set(counted)
        for name, (_, _, answer) in zip(names, asked, strict=False):
            answers[name][answer] += 1
    assert sum(counts.total() for counts in answers.values()) > 3 * COUNT
    for name, counts in answers.items():
        assert counts["Yes."] == counts["No."], name


def test_words_in_place_of_the_picture_answer_the_same_questions() -> None:
    shown, read = maker(exchanges=5), maker(exchanges=5, shown="words")
    for index in range(8):
        scene, record = shown.scenes.scene(index), read.scene(index)
        assert (record.images, record.regions) == ((), ())
        opening, _, question = record.turns[0].text.partition("\n")
        assert f"<image>\n{question}" == shown.scene(index).turns[0].text
        assert record.turns[1:] == shown.scene(index).turns[1:]
        assert all(f" {region.phrase} at [" in opening for region in scene.regions)
        assert opening.count("[") == len(scene.regions)


def test_settings_that_came_later_do_not_part_what_was_made_before() -> None:
    made = maker().info["questions"]
    assert made == {"version": 1, "kinds": KINDS, "exchanges": 4}
    assert (
        maker(presences=2, shown="words").info["questions"].items()
        >= {
            "presences": 2,
            "shown": "words",
        }.items()
    )
    with pytest.raises(ConfigError, match=r"questions.presences"):
        QuestionsConfig(presences=0)
