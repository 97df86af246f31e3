import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.types import Region
from diglot.measure.region_table import RegionRow, matching_items, naming_items

NAMES = ("dog", "cat", "car")


def row(scene, name, scores, source=""):
    region = Region(phrase=name, box=(0, 0, 1, 1), source=source)
    return RegionRow(scene, region, dict(zip(NAMES, scores, strict=True)))


TABLES = st.lists(
    st.builds(
        row,
        st.integers(0, 3),
        st.sampled_from(NAMES),
        st.lists(st.integers(-2, 0), min_size=3, max_size=3),
    ),
    max_size=10,
).map(lambda rows: sorted(rows, key=lambda r: r.scene))


def slow_matching(rows):
    """Every scene, every name in it: which boxes score best, and which of those are right."""
    credits = {}
    for scene in {r.scene for r in rows}:
        boxes = [r for r in rows if r.scene == scene]
        for name in {r.region.name for r in boxes}:
            if any(r.region.name != name for r in boxes):
                top = max(r.log_prob[name] for r in boxes)
                best = [r for r in boxes if r.log_prob[name] == top]
                credits[scene, name] = sum(r.region.name == name for r in best) / len(best)
    return credits


@given(TABLES)
def test_matching_equals_the_loop(rows):
    want = slow_matching(rows)
    items = matching_items(rows)
    assert len(items) == len(want)
    assert sum(i.value for i in items) == pytest.approx(sum(want.values()))


@given(TABLES, st.sampled_from(NAMES))
def test_matching_does_not_care_how_likely_a_name_is(rows, name):
    """A prior added to one name's log-probability everywhere changes nothing."""
    shifted = [
        RegionRow(r.scene, r.region, r.log_prob | {name: r.log_prob[name] + 64}) for r in rows
    ]
    assert matching_items(rows) == matching_items(shifted)


@given(TABLES)
def test_a_blind_model_gets_exactly_chance(rows):
    blind = [RegionRow(r.scene, r.region, dict.fromkeys(NAMES, -1.0)) for r in rows]
    regions = [(r.scene, r.region) for r in rows]
    named = naming_items(regions, NAMES, np.zeros((len(rows), len(NAMES))))
    for item in [*matching_items(blind), *named]:
        assert item.value == item.chance


def test_repeated_kinds_single_boxes_and_groups():
    rows = [
        row(0, "dog", (-1, -5, -9), "cifar10/test/1"),
        row(0, "dog", (-2, -5, -9), "cifar10/test/2"),
        row(0, "cat", (-9, -5, -9), "emoji/all/cat"),
        row(1, "car", (-1, -1, -1)),
        row(2, "car", (-1, -1, -1)),
        row(2, "car", (-1, -1, -1)),
    ]
    dog, cat = matching_items(rows)
    assert (dog.value, dog.chance, dog.group) == (1.0, 2 / 3, "unseen instances (cifar10)")
    assert (cat.value, cat.chance) == (pytest.approx(1 / 3), 1 / 3)
    assert cat.group == "pictures seen in training (emoji)"


def test_naming_takes_the_best_score_of_each_region():
    regions = [(0, row(0, "dog", (0, 0, 0)).region), (3, row(3, "car", (0, 0, 0)).region)]
    first, second = naming_items(regions, NAMES, np.array([[6, -1, -2], [1, 0, 1]]))
    assert (first.scene, first.value, first.chance) == (0, 1.0, 1 / 3)
    assert (second.scene, second.value) == (3, 0.5)
