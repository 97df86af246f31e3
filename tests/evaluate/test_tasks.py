"""The items of every offline task are true of the scene, and everything of the scene is asked."""

import json
from collections import Counter

import numpy as np
import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.benchmark import make_benchmark, make_items, open_benchmark
from diglot.evaluate.items import Item
from diglot.evaluate.task import GROUPS, load_tasks
from diglot.measure.groups import group_of
from tests.tiny import COLOURS, tiny_sample

SCENES = [tiny_sample(i, objects=2 + i % 5, size_hw=(48 + 16 * (i % 2), 64)) for i in range(24)]
BY_ID = {scene.id: scene for scene in SCENES}


def items_of(name, scenes=SCENES, **settings):
    (chosen,) = load_tasks([name], {name: {"limit": 10_000, **settings}})
    return list(make_items(chosen, scenes, seed=0))


def regions_of(item, name):
    return [region for region in BY_ID[item.scene].regions if region.name == name]


def test_presence_is_balanced_and_true():
    items = items_of("presence")
    yes = Counter()
    for item in items:
        name = item.question.removeprefix("Is there ").split(" in the picture")[0].split(" ", 1)[1]
        assert (item.answer == "Yes") == bool(regions_of(item, name))
        assert item.candidates == ("Yes", "No")
        yes[name, item.answer] += 1
    names = {name for name, _ in yes}
    assert items
    assert all(yes[name, "Yes"] == yes[name, "No"] for name in names)


def test_counts_are_those_of_the_regions():
    items = items_of("counting")
    for item in items:
        words = item.question.removeprefix("How many ").split(" are there")[0]
        scene = BY_ID[item.scene]
        found = [r for r in scene.regions if words == "things" or r.name == words.removesuffix("s")]
        assert int(item.answer) == len(found)
    assert sum("things" in item.question for item in items) == len(SCENES)


def test_colours_are_those_of_the_phrases():
    items = items_of("colour")
    for item in items:
        name = item.question.removeprefix("What colour is the ").split("?")[0]
        (region,) = regions_of(item, name)
        assert region.phrase.split()[0] == item.answer
        assert item.answer in item.candidates
        assert item.group == group_of(region.source)
    stated = sum(
        r.phrase.split()[0] in ("red", "green", "blue") and "red" not in r.name
        for s in SCENES
        for r in s.regions
        if Counter(o.name for o in s.regions)[r.name] == 1
    )
    assert len(items) >= stated > 0
    assert "grey" in COLOURS  # is no colour of scenes, so it is not asked


def test_positions_are_true_and_asked_both_ways():
    items = items_of("position", apart=0.2)
    answers = Counter(item.answer for item in items)
    assert answers["left"] == answers["right"]
    assert answers["above"] == answers["below"]
    for item in items:
        scene = BY_ID[item.scene]
        height, width = scene.size_hw
        axis = 0 if item.answer in ("left", "right") else 1
        side = (width, height)[axis]
        middles = {r.phrase: ((r.box[axis] + r.box[axis + 2]) / 2) / side for r in scene.regions}
        # phrases of repeated names carry their place, so the longest phrase that fits is it
        named = sorted(middles, key=lambda p: (item.question.find(f"the {p}"), -len(p)))
        first, second = [p for p in named if f"the {p}" in item.question][:2]
        if Counter(r.phrase for r in scene.regions).most_common(1)[0][1] > 1:
            continue
        gap = middles[first] - middles[second]
        assert abs(gap) >= 0.2 - 1e-9
        assert item.answer == ("left", "right", "above", "below")[2 * axis + int(gap > 0)]


def test_regions_are_named_among_their_pictures_names():
    items = items_of("region_naming", others=2)
    assert len(items) == sum(len(scene.regions) for scene in SCENES)
    for item in items:
        own = {region.name for region in BY_ID[item.scene].regions}
        assert own <= set(item.candidates)
        assert len(item.candidates) <= len(own) + 2
        box = json.loads(item.question.split("region ")[1].split("?")[0])
        height, width = BY_ID[item.scene].size_hw
        pixels = [v * side for v, side in zip(box, (width, height) * 2, strict=True)]
        near = [
            r.name
            for r in BY_ID[item.scene].regions
            if np.abs(np.array(r.box) - pixels).max() <= 0.005 * 64 + 1e-6
        ]
        assert item.answer in near


def test_referring_boxes_are_the_regions():
    items = items_of("referring")
    for item in items:
        scene = BY_ID[item.scene]
        height, width = scene.size_hw
        unit = [np.array(r.box) / ((width, height) * 2) for r in scene.regions]
        box = np.array(item.truth["box"])
        (at,) = [i for i, b in enumerate(unit) if np.allclose(b, box)]
        assert scene.regions[at].phrase in item.question
        right = [c for c, yes in zip(item.candidates, item.right, strict=True) if yes]
        assert item.answer in right
    assert len(items) > len(SCENES)


def test_descriptions_hold_names_and_own_captions():
    items = items_of("description")
    assert len(items) == len(SCENES)
    for item in items:
        scene = BY_ID[item.scene]
        assert set(item.truth["names"]) == {region.name for region in scene.regions}
        assert not set(item.truth["names"]) & set(item.truth["absent"])
        assert item.candidates[item.right.index(True)] == scene.caption
        assert len(item.candidates) == 4


@pytest.mark.parametrize("name", GROUPS["offline"])
def test_the_limit_draws_the_same_items_again(name):
    few = items_of(name, limit=5)
    assert few == items_of(name, limit=5)
    assert len(few) == 5
    assert len({item.id for item in few}) == 5
    every = items_of(name)
    assert all(item in every for item in few)


def test_a_benchmark_is_made_once_and_guarded(tmp_path):
    tasks = load_tasks(["counting", "referring"], {})
    first = make_benchmark(tmp_path / "b", tasks, SCENES, data="d", seed=0)
    stamp = (first.folder / "items.jsonl").stat().st_mtime_ns
    again = make_benchmark(tmp_path / "b", tasks, SCENES, data="d", seed=0)
    assert again.items == first.items
    assert (first.folder / "items.jsonl").stat().st_mtime_ns == stamp
    assert {i.task for i in first.items} == {"counting", "referring"}
    assert first.picture(first.items[0]).size == (64, 48)
    asked = load_tasks(["counting", "referring"], {"counting": {"ways": ["generate"]}})
    assert make_benchmark(tmp_path / "b", asked, SCENES, data="d", seed=0).digest == first.digest
    other = make_benchmark(tmp_path / "b", tasks, SCENES, data="d", seed=1)
    assert other.digest != first.digest
    (other.folder / "items.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="not those that were made"):
        open_benchmark(other.folder)


def test_a_picture_that_changed_is_refused(tmp_path):
    tasks = load_tasks(["counting"], {})
    made = make_benchmark(tmp_path / "b", tasks, SCENES[:2], data="d", seed=0)
    path = made.folder / "images" / made.items[0].image
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match="has changed"):
        made.picture(made.items[0])


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"options of a task that is not chosen: 'colour'"):
        load_tasks(["counting"], {"colour": {}})
    with pytest.raises(ConfigError, match="no part 'cuonting'"):
        load_tasks(["cuonting"], {})
    with pytest.raises(ConfigError, match="unknown field 'mots'"):
        load_tasks(["counting"], {"counting": {"mots": 3}})
    with pytest.raises(ConfigError, match="way"):
        load_tasks(["counting"], {"counting": {"ways": []}})
    with pytest.raises(DataError, match="nothing to ask"):
        make_benchmark(tmp_path / "b", load_tasks(["colour"], {}), [], data="", seed=0)
    with pytest.raises(DataError, match="candidates and truth"):
        Item(id="x", task="t", question="q", candidates=("a",), right=(False,))
