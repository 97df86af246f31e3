"""Formats of phrases and captions, each from a small fixture in its documented schema."""

import pickle
from pathlib import Path

import pytest

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.data.formats.flickr30k_entities import read_sentence
from tests.data.formats.foreign import make_mask, read, save_image, save_json

XML = """<annotation><filename>36979.jpg</filename>
<size><width>32</width><height>24</height><depth>3</depth></size>
<object><name>1</name><name>3</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>9</xmax>
<ymax>10</ymax></bndbox></object>
<object><name>1</name><bndbox><xmin>12</xmin><ymin>2</ymin><xmax>20</xmax><ymax>9</ymax></bndbox>
</object><object><name>2</name><scene>1</scene><nobndbox>1</nobndbox></object></annotation>"""
SENTENCES = """[/EN#1/people Two men] in [/EN#2/scene a yard] .
[/EN#0/notvisual They] wear [/EN#3/clothing/bodyparts hats] .
"""


def flickr(folder: Path, xml: str = XML, sentences: str = SENTENCES) -> dict[str, str]:
    for name, text in (("Annotations/36979.xml", xml), ("Sentences/36979.txt", sentences)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    save_image(folder / "images/36979.jpg")
    return {"path": str(folder), "images": str(folder / "images")}


def test_flickr30k_entities(tmp_path: Path) -> None:
    samples, done, rejections = read("flickr30k_entities", **flickr(tmp_path))
    assert not rejections
    assert [(s.id, s.caption) for s in samples] == [
        ("36979#0", "Two men in a yard ."),
        ("36979#1", "They wear hats ."),
    ]
    assert [(r.phrase, r.span, r.box) for r in samples[0].regions] == [
        ("Two men", (0, 7), (3, 2, 9, 10)),
        ("Two men", (0, 7), (12, 2, 20, 9)),
    ]
    assert [(r.phrase, r.span) for r in samples[1].regions] == [("hats", (10, 14))]
    assert done.lost["phrases without a box"] == 2


def test_flickr_refuses_what_is_torn_or_hostile(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="torn"):
        read_sentence("[/EN#1/people Two men in a yard .")
    hostile = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + XML
    _, _, [rejection] = read("flickr30k_entities", **flickr(tmp_path, xml=hostile))
    assert rejection.reason == "XML with a document type is refused"


def test_visual_genome(tmp_path: Path) -> None:
    save_image(tmp_path / "VG_100K_2/2.jpg")
    region = {"region_id": 7, "image_id": 2, "phrase": " the clock ", "x": 1, "y": 2}
    described = [{"id": 2, "regions": [region | {"width": 10, "height": 20}]}]
    path = save_json(tmp_path / "region_descriptions.json", [*described, {"id": 3, "regions": []}])
    save_json(tmp_path / "image_data.json", [{"image_id": 2, "width": 32, "height": 24, "url": ""}])
    [sample], _, [rejection] = read("visual_genome", path=str(path), images=str(tmp_path))
    assert (sample.id, sample.caption) == ("2", "")
    assert [(r.phrase, r.box) for r in sample.regions] == [("the clock", (1, 2, 11, 22))]
    assert (rejection.id, rejection.reason) == ("3", "no such image file")


def refs() -> list[dict]:
    sentences = [{"sent": text, "raw": text, "tokens": text.split()} for text in ("left dog", "it")]
    first = {"ref_id": 5, "ann_id": 1, "image_id": 9, "category_id": 18, "split": "testA"}
    first |= {"file_name": "COCO_train2014_000000000009_1.jpg", "sentences": sentences}
    return [first, first | {"ref_id": 6, "split": "train"}]


def refcoco(folder: Path) -> dict[str, str]:
    name = "COCO_train2014_000000000009.jpg"
    save_image(folder / "train2014" / name)
    annotation = {"id": 1, "image_id": 9, "category_id": 18, "bbox": [3, 2, 6, 8]}
    annotation["segmentation"] = [[3.0, 2.0, 9.0, 2.0, 9.0, 10.0, 3.0, 10.0]]
    content = {
        "images": [{"id": 9, "width": 32, "height": 24, "file_name": name}],
        "annotations": [annotation],
        "categories": [{"id": 18, "name": "dog"}],
    }
    save_json(folder / "instances.json", content)
    return {"path": str(folder / "refs(unc).p"), "images": str(folder / "train2014")}


@pytest.mark.parametrize("suffix", [".p", ".json"])
def test_refcoco(tmp_path: Path, suffix: str) -> None:
    settings = refcoco(tmp_path) | {"path": str(tmp_path / f"refs(unc){suffix}"), "split": "testA"}
    if suffix == ".json":
        save_json(tmp_path / "refs(unc).json", refs())
    else:
        (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(refs(), protocol=0))
    [sample], done, _ = read("refcoco", **settings)
    assert [(r.phrase, r.label, r.box) for r in sample.regions] == [
        ("left dog", "dog", (3, 2, 9, 10)),
        ("it", "dog", (3, 2, 9, 10)),
    ]
    assert sample.regions[0].mask is not None
    assert done.lost["expressions of other splits"] == 1


class Hostile:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pickle_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    settings = refcoco(tmp_path)
    Path(settings["path"]).write_bytes(pickle.dumps([Hostile()]))
    with pytest.raises(DataError, match="pickle with code"):
        read("refcoco", **settings)
    assert "executed" not in capsys.readouterr().out


def test_pad_json_sizes_are_width_first(tmp_path: Path) -> None:
    save_image(tmp_path / "00000/00000030.jpg")
    label = {"tag": "water", "bbox": [3, 2, 9, 10], "rle_mask": make_mask(3, 2, 9, 10).counts}
    record = {"image_id": "00000/00000030.jpg", "size": [32, 24], "caption": "c"}
    record |= {"labels": [label]}
    swapped = record | {"size": [24, 32]}
    path = save_json(tmp_path / "pad.json", [record, swapped])
    [sample], _, [rejection] = read("pad_json", path=str(path), images=str(tmp_path))
    assert (sample.id, sample.size_hw) == ("00000/00000030", (24, 32))
    assert masks.mask_area(sample.regions[0].mask) == 48
    assert rejection.reason == "the file gives another size than the picture has"


def test_grand(tmp_path: Path) -> None:
    save_image(tmp_path / "sa_1.jpg")
    rle = {"size": [24, 32], "counts": make_mask(3, 2, 9, 10).counts}
    dog = {"id": 0, "bbox": [3, 2, 9, 10], "segmentation": rle, "labels": ["dog"]}
    tree = {"id": 1, "bbox": [10, 2, 20, 20], "labels": ["tree"], "attributes": ["tall"]}
    details = [{"phrase": "A brown dog", "tokens_positive": [0, 11], "ids": [0]}]
    content = {
        "objects": [dog, tree],
        "floating_objects": [{"id": 2}],
        "short_captions": [
            {"caption": "a dog", "details": [{"phrase": "dog", "tokens_positive": [2, 5], "id": 0}]}
        ],
        "dense_caption": {"caption": "A brown dog stands.", "details": details},
    }
    save_json(tmp_path / "annotations/sa_1.json", {"sa_1.jpg": content})
    settings = {"path": str(tmp_path / "annotations"), "images": str(tmp_path)}
    [sample], done, _ = read("grand", **settings)
    assert [(r.phrase, r.label, r.span, r.mask is not None) for r in sample.regions] == [
        ("A brown dog", "dog", (0, 11), True),
        ("tree", "tree", None, False),
    ]
    assert (done.lost["attributes"], done.lost["floating objects"]) == (1, 1)
    [sample], _, _ = read("grand", **settings, caption="short")
    assert (sample.caption, sample.regions[0].span) == ("a dog", (2, 5))


def test_grandf(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    rles = [{"size": [24, 32], "counts": make_mask(x, 2, x + 5, 9).counts} for x in (3, 12)]
    groundings = {
        "dogs": {"token_positives": [4, 8], "rle_masks": rles},
        "yard": {"token_positives": [0, 4], "rle_masks": rles[:1]},
    }
    record = {"file_name": "a.jpg", "caption": '"Two dogs in a yard "', "groundings": groundings}
    path = save_json(tmp_path / "GranDf_HA_GCG_val.json", [record])
    [sample], _, _ = read("grandf", path=str(path), images=str(tmp_path))
    assert sample.caption == "Two dogs in a yard"
    assert [(r.phrase, r.span, r.box) for r in sample.regions] == [
        ("dogs", (4, 8), (3, 2, 8, 9)),
        ("dogs", (4, 8), (12, 2, 17, 9)),
        ("yard", (14, 18), (3, 2, 8, 9)),  # a wrong span, but the phrase is there once
    ]


def test_sa1b(tmp_path: Path) -> None:
    save_image(tmp_path / "sa_7.jpg")
    annotation = {
        "id": 1,
        "bbox": [3, 2, 6, 8],
        "area": 48,
        "segmentation": {"size": [24, 32], "counts": make_mask(3, 2, 9, 10).counts},
        "predicted_iou": 1.02,
        "stability_score": 0.97,
        "crop_box": [0, 0, 32, 24],
        "point_coords": [[5, 5]],
    }
    image = {"image_id": 7, "width": 32, "height": 24, "file_name": "sa_7.jpg"}
    save_json(tmp_path / "sa_7.json", {"image": image, "annotations": [annotation]})
    [sample], _, _ = read("sa1b", path=str(tmp_path), phrase="thing")
    [region] = sample.regions
    assert (region.phrase, region.box, region.score) == ("thing", (3, 2, 9, 10), 1.0)


CSV = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf
0001,xclick,/m/011k07,1,0.25,0.5,0,0.5,1,0,0
0001,xclick,/m/011k07,1,0.0,0.5,0,0.5,0,0,1
0002,xclick,/m/011k07,1,8,16,2,9,0,0,0
"""


def test_open_images(tmp_path: Path) -> None:
    (tmp_path / "train-annotations-bbox.csv").write_text(CSV)
    (tmp_path / "class-descriptions-boxable.csv").write_text('/m/011k07,Tortoise\n/m/0,"A, b"\n')
    for name in ("0001", "0002"):
        save_image(tmp_path / f"{name}.jpg")
    settings = {"path": str(tmp_path / "train-annotations-bbox.csv"), "images": str(tmp_path)}
    [sample], done, [rejection] = read("open_images", **settings)
    assert [(r.label, r.box) for r in sample.regions] == [("Tortoise", (8, 0, 16, 12))]
    assert done.lost["regions of groups"] == 1
    assert (rejection.id, rejection.reason) == ("0002", "box looks like pixels")
