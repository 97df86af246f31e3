import pytest

from diglot.core.errors import DataError
from diglot.core.result import Estimate
from diglot.measure.groups import by_group, check_apart, group_of
from tests.tiny import tiny_sample


def counted(indices):
    return Estimate(value=None, low=None, high=None, n=len(indices))


@pytest.mark.parametrize(
    ("source", "group"),
    [
        ("cifar10/test/00421", "unseen instances (cifar10)"),
        ("cifar10/train/00421", "pictures seen in training (cifar10)"),
        ("emoji/all/guitar", "pictures seen in training (emoji)"),
        ("own/test/folder/name.png", "unseen instances (own)"),
        ("grounding-dino@abc", "other"),
        ("", "other"),
    ],
)
def test_group_of_a_source(source, group):
    assert group_of(source) == group


def test_groups_are_sorted_and_hold_every_item_once():
    got = by_group(["b", "a", "b", "other"], counted)
    assert [(label, e.n) for label, e in got.items()] == [("a", 1), ("b", 2), ("other", 1)]
    assert by_group(["a", "a"], counted)["a"].n == 2
    assert by_group(["other"], counted) == {}
    assert by_group([], counted) == {}


def test_a_held_out_picture_in_training_is_named():
    held_out = [tiny_sample(1), tiny_sample(2)]
    check_apart(held_out, [tiny_sample(3)])
    check_apart(held_out, [tiny_sample(3, sources=("emoji/all/{name}",))])
    with pytest.raises(DataError, match=r"tiny/2.*held out"):
        check_apart(held_out, [tiny_sample(2)])
