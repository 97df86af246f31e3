"""Boxes, NMS, masks and filters: what rubbish of a model costs, and slow references."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diglot.core import masks as core_masks
from diglot.core.types import Lineage, Region, Sample
from diglot.synth.annotator import Detection
from diglot.synth.step import Draft, Dropped, Phrase
from diglot.synth.steps import boxes, filters, masks, nms

SIZE = (24, 32)
LINE = Lineage(step="toy")


def draft(*regions: Region, phrases: Sequence[str] = ()) -> Draft:
    picture = Image.new("RGB", SIZE[::-1])
    sample = Sample.captioned(id="a", image=b"x", size_hw=SIZE, caption="a dog", regions=regions)
    return Draft(sample=sample, picture=picture, phrases=tuple(Phrase(text=p) for p in phrases))


def region(*box: float, score: float = 1.0, label: str = "dog", mask: Any = None) -> Region:
    return Region(phrase=label, label=label, box=box, score=score, mask=mask)  # type: ignore[arg-type]


class Says:
    """A model that gives the same answer for every picture, or fails."""

    model, revision = "toy", "1"

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def detect_objects(self, pictures: Sequence[Any], phrases: Sequence[Any]) -> list[Any]:
        return self._answer(pictures) if callable(self._answer) else [self._answer] * len(pictures)

    segment_boxes = detect_objects


def run_boxes(answer: Any, *drafts: Draft, **settings: Any) -> list[Draft | Dropped]:
    config = boxes.Config(annotator="toy", **settings)
    return list(boxes.BoxesStep(config, Says(answer), LINE)(iter(drafts)))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 2, 30, 20), (1, 2, 30, 20)),
        ((-1, -1, 33, 25), (0, 0, 32, 24)),
        ((1, 2, 40, 20), "the box lies outside the image"),
        ((-3, 2, 30, 20), "the box lies outside the image"),
        ((5, 2, 5, 20), "the box is empty"),
        ((9, 2, 5, 20), "the box is empty"),
        ((32, 2, 33, 20), "the box is empty"),
        ((math.nan, 2, 5, 20), "the box is not finite"),
        ((1, 2, math.inf, 20), "the box is not finite"),
        ((1, 2, 5), "the box is not finite"),
    ],
)
def test_boxes_are_clipped_or_named(box: Any, expected: Any) -> None:
    assert boxes.clip_box(box, SIZE, slack_px=2.0) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score": math.nan}, "the score is no number in [0, 1]"),
        ({"score": 1.5}, "the score is no number in [0, 1]"),
        ({"score": -0.1}, "the score is no number in [0, 1]"),
        ({"phrase": 7}, "the box is of no phrase that was asked for"),
        ({"phrase": -1}, "the box is of no phrase that was asked for"),
    ],
)
def test_rubbish_of_a_detector_costs_that_box(changes: dict[str, Any], reason: str) -> None:
    good = {"box": (1.0, 2.0, 9.0, 9.0), "score": 0.5, "label": "dog", "phrase": 0}
    answer = [Detection(**good), Detection(**good | changes)]
    (out,) = run_boxes(answer, draft(phrases=["dog"]))
    assert isinstance(out, Draft)
    assert len(out.sample.regions) == 1
    assert [lost.reason for lost in out.lost] == [reason]


def test_another_number_of_answers_than_images_drops_only_what_cannot_be_had() -> None:
    """Of a batch of two it gives one list; alone it is right."""
    answer = lambda pictures: [[]]  # noqa: E731
    found = run_boxes(answer, draft(), draft(), batch=2)
    assert all(isinstance(one, Draft) for one in found)
    (none,) = run_boxes(lambda pictures: [], draft())
    assert isinstance(none, Dropped)
    assert none.reason == "the annotator failed (ValueError)"


def run_masks(answer: Any, *drafts: Draft) -> list[Draft | Dropped]:
    config = masks.Config(annotator="toy")
    return list(masks.MasksStep(config, Says(answer), LINE)(iter(drafts)))


def full(size: tuple[int, int] = SIZE, dtype: Any = bool) -> np.ndarray:
    return np.ones(size, dtype)


@pytest.mark.parametrize(
    ("mask_HW", "reason"),
    [
        (full(SIZE[::-1]), "the mask is not of the image's size"),
        (np.full(SIZE, np.nan), "the mask is not of the image's size"),
        (~full(), "the mask is empty"),
    ],
)
def test_rubbish_of_a_segmenter_costs_that_region(mask_HW: np.ndarray, reason: str) -> None:
    start = draft(region(1, 2, 9, 9), region(2, 2, 9, 9, label="cat"))
    (out,) = run_masks([(mask_HW, 1.0), (full(), 1.0)], start)
    assert isinstance(out, Draft)
    assert [r.label for r in out.sample.regions] == ["cat"]
    assert [(lost.phrase, lost.reason) for lost in out.lost] == [("dog", reason)]


def test_fewer_masks_than_boxes_drop_the_image() -> None:
    (out,) = run_masks([], draft(region(1, 2, 9, 9)))
    assert isinstance(out, Dropped)
    assert out.reason == "another number of masks than boxes"


def iou_by_pixels(first: Region, second: Region) -> float:
    grids = []
    for x0, y0, x1, y1 in (first.box, second.box):
        pixels_HW = np.zeros(SIZE, bool)
        pixels_HW[int(y0) : int(y1), int(x0) : int(x1)] = True
        grids.append(pixels_HW)
    return (grids[0] & grids[1]).sum() / (grids[0] | grids[1]).sum()


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_nms_equals_a_slow_one(class_agnostic: bool) -> None:
    rng = np.random.default_rng(0)
    step = nms.NmsStep(nms.Config(iou=0.4, class_agnostic=class_agnostic))
    for _ in range(30):
        found = []
        for _ in range(8):
            (x0, x1), (y0, y1) = (sorted(rng.choice(side, 2, replace=False)) for side in (32, 24))
            label, score = str(rng.choice(["dog", "cat"])), float(rng.integers(0, 5)) / 4
            found.append(region(x0, y0, x1, y1, score=score, label=label))
        kept: list[int] = []
        for index in sorted(range(8), key=lambda i: (-found[i].score, i)):
            rivals = [k for k in kept if class_agnostic or found[k].label == found[index].label]
            if all(iou_by_pixels(found[index], found[k]) <= 0.4 for k in rivals):
                kept.append(index)
        (out,) = step(iter([draft(*found)]))
        assert isinstance(out, Draft)
        assert list(out.sample.regions) == [found[i] for i in sorted(kept)]
        assert len(out.lost) == 8 - len(kept)


def rectangle(width: int, height: int) -> Any:
    pixels_HW = np.zeros(SIZE, bool)
    pixels_HW[:height, :width] = True
    return core_masks.encode_mask(pixels_HW)


@pytest.mark.parametrize(
    ("settings", "passes", "fails"),
    [
        ({"min_score": 0.5}, region(0, 0, 8, 8, score=0.5), region(0, 0, 8, 8, score=0.49)),
        ({"patch_grid": 4}, region(0, 0, 8, 6), region(0, 0, 8, 5)),  # a patch is 8 x 6 px
        ({"max_box_share": 0.5}, region(0, 0, 32, 12), region(0, 0, 32, 13)),
        (
            {"min_mask_share": 0.25},
            region(0, 0, 32, 24, mask=rectangle(16, 12)),
            region(0, 0, 32, 24, mask=rectangle(16, 11)),
        ),
        (
            {"min_mask_of_box": 0.5},
            region(0, 0, 8, 8, mask=rectangle(8, 4)),
            region(0, 0, 8, 8, mask=rectangle(8, 3)),
        ),
    ],
)
def test_each_filter_at_its_edge(settings: dict[str, Any], passes: Region, fails: Region) -> None:
    (out,) = filters.FiltersStep(filters.Config(**settings))(iter([draft(passes, fails)]))
    assert isinstance(out, Draft)
    assert out.sample.regions == (passes,)
    assert len(out.lost) == 1
    (none,) = filters.FiltersStep(filters.Config(**settings, min_regions=1))(iter([draft(fails)]))
    assert isinstance(none, Dropped)
    assert none.reason == "too few regions"
    assert none.detail == f"1 x {out.lost[0].reason}"
