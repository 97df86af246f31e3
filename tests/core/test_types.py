"""Records refuse what cannot be, and say which sample and field."""

from dataclasses import FrozenInstanceError

import pytest

from diglot.core.errors import DataError
from diglot.core.types import Region, Rle, Sample

CAPTION = "A red dog by a tree."


def region(**fields) -> Region:
    return Region(**{"phrase": "red dog", "box": (1.0, 2.0, 9.0, 8.0), **fields})


def sample(*regions: Region, **fields) -> Sample:
    defaults = {"id": "s1", "image": b"", "size_hw": (10, 20), "caption": CAPTION}
    return Sample.captioned(**{**defaults, "regions": regions, **fields})


def test_a_good_sample() -> None:
    got = sample(region(span=(2, 9), mask=Rle(size_hw=(10, 20), counts="")))
    assert got.caption[slice(*got.regions[0].span)] == "red dog"
    with pytest.raises(FrozenInstanceError):
        got.id = "other"


def test_name_is_the_label_where_known() -> None:
    assert region().name == "red dog"
    assert region(label="dog").name == "dog"


@pytest.mark.parametrize(
    "box",
    [
        (1, 1, 1, 2),
        (1, 1, 2, 1),
        (3, 1, 2, 2),
        (0, 0, float("nan"), 1),
        (0, 0, float("inf"), 1),
        (float("-inf"), 0, 1, 1),
    ],
)
def test_empty_or_infinite_box(box) -> None:
    with pytest.raises(DataError, match="box is empty or not finite"):
        region(box=box)


@pytest.mark.parametrize("span", [(3, 3), (4, 2), (-1, 2)])
def test_empty_span(span) -> None:
    with pytest.raises(DataError, match="span is empty"):
        region(span=span)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_score_that_would_order_regions_by_chance(score: float) -> None:
    with pytest.raises(DataError, match=r"score: score is not in \[0, 1\]"):
        region(score=score)


@pytest.mark.parametrize("phrase", ["", "  \n"])
def test_empty_phrase(phrase: str) -> None:
    with pytest.raises(DataError, match="phrase is empty"):
        region(phrase=phrase)


@pytest.mark.parametrize("box", [(-1.5, 0, 5, 5), (0, 0, 21.5, 5), (0, 0, 5, 11.5), (0, -2, 5, 5)])
def test_box_outside_its_image_names_sample_and_field(box) -> None:
    with pytest.raises(DataError, match=r"sample 's1', regions\[1\]\.box.*\(0, 0, 20, 10\)"):
        sample(region(), region(box=box))


def test_box_may_stick_out_by_a_rounding() -> None:
    sample(region(box=(-1.0, -0.5, 21.0, 11.0)))


@pytest.mark.parametrize("span", [(2, 8), (3, 10), (13, 21), (100, 107)])
def test_span_that_does_not_match_its_caption(span) -> None:
    with pytest.raises(DataError, match=r"regions\[0\]\.span: span does not match"):
        sample(region(span=span))


def test_mask_of_another_size() -> None:
    with pytest.raises(DataError, match=r"regions\[0\]\.mask.*\(10, 20\).*\(20, 10\)"):
        sample(region(mask=Rle(size_hw=(20, 10), counts="")))


@pytest.mark.parametrize("size_hw", [(0, 5), (5, 0), (-1, 5)])
def test_image_without_area(size_hw) -> None:
    with pytest.raises(DataError, match=r"sample 's1'.*size must be positive"):
        sample(size_hw=size_hw)
