"""SPair-71k's own folders, written small, and every way a record can be broken."""

import json

import pytest
from PIL import Image

from diglot.core.errors import ConfigError
from diglot.core.progress import Progress
from diglot.data.rejected import Rejected
from diglot.data.spair import is_spair, read_spair

NAME = "000001-2008_000001-2008_000002:cat"


def record(**changes):
    """A record as published; None takes a key away."""
    payload = {
        "pair_id": 1,
        "filename": NAME,
        "src_imname": "2008_000001.jpg",
        "trg_imname": "2008_000002.jpg",
        "src_imsize": [60, 40, 3],
        "trg_imsize": [50, 30, 3],
        "src_bndbox": [5, 5, 40, 30],
        "trg_bndbox": [10, 4, 30, 28],
        "category": "cat",
        "src_kps": [[7, 9], [20, 21], [59, 39]],
        "trg_kps": [[12, 6], [25, 20], [49, 29]],
        "kps_ids": ["0", "3", "11"],
        "src_pose": "Unspecified",
        "trg_pose": "Frontal",
        "mirror": 0,
        "viewpoint_variation": 1,
        "scale_variation": 0,
        "truncation": 2,
        "occlusion": 3,
    }
    return {key: value for key, value in (payload | changes).items() if value is not None}


@pytest.fixture
def spair(tmp_path):
    root = tmp_path / "SPair-71k"
    (root / "JPEGImages" / "cat").mkdir(parents=True)
    (root / "PairAnnotation" / "test").mkdir(parents=True)
    (root / "Layout" / "large").mkdir(parents=True)
    for name, size_wh in (("2008_000001", (60, 40)), ("2008_000002", (50, 30))):
        Image.new("RGB", size_wh).save(root / "JPEGImages" / "cat" / f"{name}.jpg")
    return root


def write(root, records, *, layout=True):
    for name, payload in records.items():
        text = payload if isinstance(payload, str) else json.dumps(payload)
        (root / "PairAnnotation" / "test" / f"{name}.json").write_text(text)
    if layout:
        (root / "Layout" / "large" / "test.txt").write_text("".join(f"{n}\n" for n in records))


def read(root, tmp_path, **options):
    rejected = Rejected(tmp_path / "rejected.jsonl")
    return read_spair(root, rejected, **options), rejected


def test_a_record_becomes_a_pair(spair, tmp_path):
    write(spair, {NAME: record()})
    assert is_spair(spair)
    events = []
    pairs, rejected = read(spair, tmp_path, report=events.append)
    (pair,) = pairs
    assert (pair.id, pair.category, pair.box, pair.box_side) == (NAME, "cat", (10, 4, 30, 28), 24)
    assert pair.source.image == spair / "JPEGImages" / "cat" / "2008_000001.jpg"
    assert (pair.source.size_hw, pair.target.size_hw) == ((40, 60), (30, 50))
    assert pair.source.points_K2.tolist() == [[7, 9], [20, 21], [59, 39]]
    assert pair.target.points_K2.tolist() == [[12, 6], [25, 20], [49, 29]]
    assert pair.scored_K.tolist() == [True] * 3
    assert pair.groups[:2] == ("viewpoint 1", "scale 0")
    assert (len(rejected), events) == (0, [Progress("reading", 1, 1)])


BROKEN = {
    "record is no JSON": "{",
    "record is no JSON object": "[1]",
    "record has no 'trg_kps'": record(trg_kps=None),
    "target points do not fit": record(trg_kps=[[1, 2]]),
    "points are not a list of xy": record(src_kps=[[1, 2, 3]] * 3),
    "no such picture": record(trg_imname="2008_999999.jpg"),
    "path leaves its folder": record(src_imname="../../../../secret.jpg"),
    "imsize is not width and height": record(src_imsize=[60]),
    "source has no size": record(src_imsize=[0, 40, 3]),
    "box is empty": record(trg_bndbox=[10, 4, 10, 28]),
    "bndbox is not xyxy": record(trg_bndbox=[10, 4]),
}


def test_broken_records_are_rejected_with_their_reason(spair, tmp_path):
    records = {f"{n:06d}-a-b:cat": payload for n, payload in enumerate(BROKEN.values())}
    write(spair, {**records, NAME: record()})
    with open(spair / "Layout" / "large" / "test.txt", "a") as layout:
        layout.write("000099-a-b:cat\n../../../elsewhere\n")
    pairs, rejected = read(spair, tmp_path)
    assert [pair.id for pair in pairs] == [NAME]
    assert set(rejected.counts) == {*BROKEN, "no such record"}
    assert len(rejected) == len(BROKEN) + 2


def test_a_name_that_no_file_can_have_takes_only_its_record_along(spair, tmp_path):
    write(spair, {"a:cat": record(src_imname="x" * 5000), NAME: record()})
    with open(spair / "Layout" / "large" / "test.txt", "a") as layout:
        layout.write("y" * 5000 + "\n")
    pairs, rejected = read(spair, tmp_path)
    assert [pair.id for pair in pairs] == [NAME]
    assert rejected.counts == {"cannot be read: File name too long": 2}


def test_the_layout_says_which_pairs_and_in_which_order(spair, tmp_path):
    write(spair, {"b:cat": record(), "a:cat": record(), "c:cat": record()})
    (spair / "Layout" / "large" / "test.txt").write_text("b:cat\na:cat\n")
    assert [pair.id for pair in read(spair, tmp_path)[0]] == ["b:cat", "a:cat"]


def test_without_a_layout_all_records_are_read(spair, tmp_path):
    write(spair, {"b:cat": record(), "a:cat": record()}, layout=False)
    (spair / "Layout" / "large").rmdir()
    (spair / "Layout").rmdir()
    assert [pair.id for pair in read(spair, tmp_path)[0]] == ["a:cat", "b:cat"]


def test_a_colon_that_became_an_underscore_is_found(spair, tmp_path):
    write(spair, {NAME.replace(":", "_"): record()}, layout=False)
    (spair / "Layout" / "large" / "test.txt").write_text(f"{NAME}\n")
    assert [pair.id for pair in read(spair, tmp_path)[0]] == [NAME]


def test_a_missing_split_is_named(spair, tmp_path):
    write(spair, {NAME: record()})
    with pytest.raises(ConfigError, match="no split 'val' of layout 'large'"):
        read(spair, tmp_path, split="val")
    with pytest.raises(ConfigError, match="expected trn, val or test; got dev"):
        read(spair, tmp_path, split="dev")
