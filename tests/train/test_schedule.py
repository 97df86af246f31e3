import math

import pytest

from diglot.core.errors import ConfigError
from diglot.train.schedule import Schedule, read_schedule


def at(payload, *points):
    schedule = read_schedule(payload, where="w")
    return [round(schedule.at(p), 6) for p in points]


def test_a_number_is_constant():
    assert at(0.5, 0, 0.3, 1) == [0.5, 0.5, 0.5]
    assert at({"start": 2}, 0, 1) == [2, 2]


def test_linear_rises_from_start_to_end():
    assert at({"schedule": "linear", "start": 0, "end": 5}, 0, 0.5, 1) == [0, 2.5, 5]
    late = {"schedule": "linear", "start": 1, "end": 3, "begin": 0.5, "until": 0.75}
    assert at(late, 0, 0.5, 0.625, 0.75, 1) == [1, 1, 2, 3, 3]


def test_cosine_is_half_way_in_the_middle_and_flat_at_the_ends():
    payload = {"schedule": "cosine", "start": 4, "end": 0}
    assert at(payload, 0, 0.5, 1) == [4, 2, 0]
    assert at(payload, 0.25) == [round(2 + 2 * math.cos(math.pi / 4), 6)]


def test_step_changes_at_once():
    payload = {"schedule": "step", "start": 0, "end": 1, "until": 0.4}
    assert at(payload, 0, 0.399, 0.4, 1) == [0, 0, 1, 1]


def test_a_length_of_nothing_is_a_step():
    payload = {"schedule": "linear", "start": 0, "end": 1, "begin": 0.5, "until": 0.5}
    assert at(payload, 0.49, 0.5) == [0, 1]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("much", "not a weight"),
        (True, "not a weight"),
        ({"kind": "linear"}, "unknown field 'kind'"),
        ({"schedule": "square"}, "no such schedule"),
        ({"schedule": "linear", "start": -1}, "0 or more"),
        ({"schedule": "linear", "begin": 0.5, "until": 0.2}, "not a part of the run"),
        ({"start": 1, "end": 2}, "one value"),
        ({"start": "x"}, "not a number"),
        (math.inf, "0 or more"),
    ],
)
def test_mistakes_are_named(payload, message):
    with pytest.raises(ConfigError, match=message) as error:
        read_schedule(payload, where="plus.patch_aligned.weight")
    assert str(error.value).startswith("plus.patch_aligned.weight")


def test_a_schedule_can_be_made_directly():
    assert Schedule(start=2.0).last == 2.0
