"""What each format's writer writes, its reader reads back; what it cannot hold is counted."""

from dataclasses import replace
from pathlib import Path

import pytest

from diglot.core.types import Region, Sample
from tests.data.formats.foreign import make_conversation, make_sample, read, settings_of, write

WHOLE = ("image_jsonl", "webdataset")


def strip(region: Region, *kept: str) -> Region:
    """The region with nothing but its phrase, its box and `kept`."""
    fields = {name: getattr(region, name) for name in ("phrase", "box", *kept)}
    return Region(**fields)


# format -> (parts of a region it holds, whether it holds the caption, its lost kinds)
HELD = {
    "coco": (("label", "mask", "score"), True),
    "objects365": (("label", "mask", "score"), False),
    "flickr30k_entities": (("span",), True),
    "visual_genome": ((), False),
    "refcoco": (("label", "mask"), False),
    "pad_json": (("label", "mask"), True),
    "grand": (("label", "span", "mask"), True),
    "grandf": (("span", "mask"), True),
    "sa1b": (("mask", "score"), False),
    "open_images": (("label", "score"), False),
}
BY_LABEL = {"coco", "objects365", "pad_json", "open_images"}


def expected(name: str, sample: Sample) -> list[Region]:
    kept, _ = HELD[name]
    regions = [strip(region, *kept) for region in sample.regions]
    if name in BY_LABEL:
        return [replace(region, phrase=region.label) for region in regions]
    return [replace(r, phrase="object") for r in regions] if name == "sa1b" else regions


@pytest.mark.parametrize("name", HELD)
def test_regions_come_back(name: str, tmp_path: Path) -> None:
    samples = [make_sample(number) for number in range(3)]
    done = write(name, samples, tmp_path)
    assert done.lost["sources not held by the format"] == 3
    assert done.lost["caption not held by the format"] == (0 if HELD[name][1] else 3)
    found, read_done, rejections = read(name, **settings_of(name, tmp_path))
    assert not rejections
    assert read_done.kept == 3
    ids = [sample.id.removesuffix("#0") for sample in found]
    assert ids == ["s0", "s1", "s2"]
    for sample, before in zip(found, samples, strict=True):
        assert sample.caption == (before.caption if HELD[name][1] else "")
        wanted = expected(name, before)
        assert [r.phrase for r in sample.regions] == [r.phrase for r in wanted]
        for region, want in zip(sample.regions, wanted, strict=True):
            assert region.box == pytest.approx(want.box)
            assert replace(region, box=want.box) == want


@pytest.mark.parametrize("name", WHOLE)
def test_everything_comes_back(name: str, tmp_path: Path) -> None:
    samples = [make_sample(number) for number in range(3)]
    samples += [make_conversation(number, images=number) for number in range(3)]
    done = write(name, samples, tmp_path)
    assert not done.as_json()["lost"]
    found, _, rejections = read(name, **settings_of(name, tmp_path))
    assert not rejections
    for sample, before in zip(found, samples, strict=True):
        assert replace(sample, images=read_images(sample)) == before


def read_images(sample: Sample) -> tuple[bytes, ...]:
    return tuple(i if isinstance(i, bytes) else i.read_bytes() for i in sample.images)


@pytest.mark.parametrize("name", ["llava_json", "cambrian_jsonl", "llava_next"])
def test_conversations_come_back(name: str, tmp_path: Path) -> None:
    most = 1 if name == "llava_next" else 2
    samples = [make_conversation(number, images=number) for number in range(3)]
    done = write(name, samples, tmp_path)
    assert done.lost["regions not held by the format"] == most
    assert done.rejected.total() == 2 - most
    settings = settings_of(name, tmp_path) | {"number_ids": False}
    found, _, rejections = read(name, **settings)
    assert not rejections
    for sample, before in zip(found, samples, strict=False):
        assert replace(sample, images=read_images(sample)) == replace(before, regions=())
    assert len(found) == most + 1


@pytest.mark.parametrize("name", ["llava_json", "cambrian_jsonl", "llava_next"])
def test_captions_come_back(name: str, tmp_path: Path) -> None:
    samples = [make_sample(number) for number in range(3)]
    done = write(name, samples, tmp_path)
    assert done.lost["regions not held by the format"] == 6
    settings = settings_of(name, tmp_path) | {"captions": True}
    found, _, rejections = read(name, **settings)
    assert not rejections
    assert [s.caption for s in found] == [s.caption for s in samples]


def test_what_a_format_cannot_hold_is_counted(tmp_path: Path) -> None:
    done = write("coco", [make_sample(0)], tmp_path)
    assert done.as_json()["lost"] == {
        "spans not held by the format": 2,
        "sources not held by the format": 1,
        "phrases other than the label": 1,
    }
