"""COCO in its documented schema: polygons, both kinds of RLE, crowds, captions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diglot.core import masks
from diglot.core.errors import DataError
from tests.data.formats.foreign import make_mask, read, save_image, save_json

CATEGORIES = [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 17, "name": "cat"}]
IMAGE = {"id": 139, "width": 32, "height": 24, "file_name": "000000000139.jpg", "license": 2}
# a 6 x 8 rectangle at x 3, y 2 in its three forms; runs go down the columns of a 24-row image
POLYGON = [[3.0, 2.0, 9.0, 2.0, 9.0, 10.0, 3.0, 10.0]]
RUNS = [3 * 24 + 2, 8, *[16, 8] * 5, 24 * 32 - (8 * 24 + 10)]
DOG = {"id": 1, "image_id": 139, "category_id": 18, "bbox": [3, 2, 6, 8], "area": 48, "iscrowd": 0}


@pytest.fixture
def coco(tmp_path: Path) -> Any:
    save_image(tmp_path / "images/000000000139.jpg")

    def save(annotations: list[Any], images: Any = (IMAGE,), **settings: Any) -> Any:
        content = {"info": {}, "images": list(images), "annotations": annotations}
        path = save_json(tmp_path / "instances.json", content | {"categories": CATEGORIES})
        return read("coco", path=str(path), images=str(tmp_path / "images"), **settings)

    return save


@pytest.mark.parametrize(
    "segmentation",
    [
        POLYGON,
        {"size": [24, 32], "counts": RUNS},
        {"size": [24, 32], "counts": make_mask(3, 2, 9, 10).counts},
    ],
    ids=["polygon", "runs", "compressed"],
)
def test_all_forms_of_masks(coco: Any, segmentation: Any) -> None:
    [sample], _, rejections = coco([DOG | {"segmentation": segmentation}])
    assert not rejections
    assert (sample.id, sample.size_hw) == ("000000000139", (24, 32))
    [region] = sample.regions
    assert (region.phrase, region.box, region.span) == ("dog", (3, 2, 9, 10), None)
    wanted = masks.decode_mask(make_mask(3, 2, 9, 10))
    assert np.array_equal(masks.decode_mask(region.mask), wanted)


def test_crowds_are_counted_or_kept(coco: Any) -> None:
    crowd = DOG | {"iscrowd": 1, "segmentation": {"size": [24, 32], "counts": RUNS}}
    [sample], done, _ = coco([crowd])
    assert (sample.regions, done.lost["regions of crowds"]) == ((), 1)
    [sample], _, _ = coco([crowd], crowds=True)
    assert len(sample.regions) == 1


def test_captions_first_or_each(coco: Any, tmp_path: Path) -> None:
    texts = ("A dog. ", "One small dog.")
    rows = [{"id": n, "image_id": 139, "caption": text} for n, text in enumerate(texts)]
    captions = save_json(tmp_path / "captions.json", {"images": [IMAGE], "annotations": rows})
    [sample], done, _ = coco([DOG], captions=str(captions))
    assert (sample.caption, done.lost["captions beyond the first"]) == ("A dog.", 1)
    samples, _, _ = coco([DOG], captions=str(captions), caption="each")
    assert [(s.id, s.caption) for s in samples] == [
        ("000000000139#0", "A dog."),
        ("000000000139#1", "One small dog."),
    ]


def test_one_bad_row_is_one_rejection(coco: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "images/2.jpg")
    images = [
        IMAGE,
        {"id": 1, "width": 32, "height": 24, "file_name": "../secret.jpg"},
        {"id": 2, "width": 32, "height": 24, "file_name": "2.jpg"},
        {"id": 3, "width": 32, "height": 24, "file_name": "missing.jpg"},
        {"id": 4, "width": 32, "height": 24, "file_name": "2.jpg"},
        {"id": 5, "width": 32, "height": 24},
        "no object",
    ]
    save_image(tmp_path / "secret.jpg")
    rows = [DOG, DOG | {"image_id": 2, "bbox": [1, "x", 3, 4]}, DOG | {"image_id": 9}, {}]
    samples, done, rejections = coco(rows, images)
    assert [sample.id for sample in samples] == ["000000000139", "2"]
    assert [(r.id, r.reason) for r in rejections] == [
        ("1", "path leaves its folder"),
        ("2", "record has another shape"),
        ("3", "no such image file"),
        ("5", "field 'file_name' is missing"),
        ("None", "record has another shape"),
    ]
    assert done.lost["annotations of images not listed"] == 1
    assert done.lost["annotations without an image_id"] == 1


def test_boxes_outside_or_without_area(coco: Any) -> None:
    boxes = [[-0.4, 1, 5, 5], [3, 3, 0, 4], [40, 2, 5, 5], [30, 20, 3, 5], [-9, 2, 20, 5]]
    [sample], done, _ = coco([DOG | {"bbox": box} for box in boxes])
    assert [r.box for r in sample.regions] == [
        pytest.approx((0, 1, 4.6, 6)),
        pytest.approx((30, 20, 32, 24)),
    ]
    assert done.as_json()["lost"] == {
        "regions outside the image": 2,
        "boxes clipped to the image": 2,
        "regions without area": 1,
    }


def test_regions_of_impossible_scores_are_counted(coco: Any) -> None:
    scores = [0.25, None, 1.5, -1]
    [sample], done, _ = coco([DOG | {"score": score} for score in scores])
    assert [r.score for r in sample.regions] == [0.25, 1.0]
    assert done.as_json()["lost"] == {"regions whose score is not in 0 to 1": 2}


def test_a_box_in_another_unit_is_refused(coco: Any) -> None:
    _, _, [rejection] = coco([DOG | {"bbox": [3, 2, 9, 10], "segmentation": POLYGON}])
    assert rejection.reason == "box looks like xyxy"


def test_masks_that_cannot_be_used_are_counted(coco: Any) -> None:
    wrong = [
        {"size": [32, 24], "counts": RUNS},
        {"size": [24, 32], "counts": [5, 5]},
        [[1.0, 2.0, 3.0]],
        {"size": [24, 32], "counts": [24 * 32]},
    ]
    [sample], done, _ = coco([DOG | {"segmentation": mask} for mask in wrong])
    assert [r.mask for r in sample.regions] == [None] * 4
    assert sum(n for kind, n in done.lost.items() if kind.startswith("masks left out")) == 4


def test_a_torn_file_says_where(tmp_path: Path) -> None:
    save_image(tmp_path / "000000000139.jpg")
    path = save_json(tmp_path / "a.json", {"images": [IMAGE], "annotations": [DOG] * 3})
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match="torn"):
        read("coco", path=str(path), images=str(tmp_path))


def test_objects365_finds_pictures_of_its_archives(tmp_path: Path) -> None:
    save_image(tmp_path / "patch8/objects365_v1_00420917.jpg")
    image = IMAGE | {"file_name": "images/v1/patch8/objects365_v1_00420917.jpg"}
    content = {"images": [image], "annotations": [DOG], "categories": CATEGORIES}
    path = save_json(tmp_path / "zhiyuan_objv2_val.json", content)
    [sample], _, _ = read("objects365", path=str(path), images=str(tmp_path))
    assert sample.id == "patch8/objects365_v1_00420917"
    assert [region.label for region in sample.regions] == ["dog"]
