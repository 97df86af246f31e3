"""Every kind of fault is found, all of one record at once, from the rows as they are stored."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diglot.core.preprocess import Preprocess
from diglot.data.check import check_dataset
from diglot.data.checks.clean import clean_dataset
from diglot.data.checks.duplicates import find_duplicates
from diglot.data.checks.fault import LEVELS, Fault
from diglot.data.checks.model_limits import Grid, ModelLimits
from diglot.data.checks.rows import Settings
from diglot.data.records import open_dataset
from diglot.data.schema import arrow_schema, to_row
from tests.data.formats.foreign import make_conversation, make_mask, make_sample
from tests.data.pictures import jpeg
from tests.tiny import tiny_tokenizer


def save(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=arrow_schema())
    pq.write_table(table, folder / "train-00000.parquet", row_group_size=4)
    return folder


def row(number: int, **changes: Any) -> dict[str, Any]:
    return to_row(make_sample(number)) | changes


def with_region(number: int, **changes: Any) -> dict[str, Any]:
    made = row(number)
    made["regions"][0] |= changes
    return made


def conversation(number: int, *turns: tuple[str, str, bool], **changes: Any) -> dict[str, Any]:
    rows = [{"role": role, "text": text, "learn": learn} for role, text, learn in turns]
    made = to_row(make_conversation(number, images=1)) | {"regions": []}
    return made | {"turns": rows} | changes


def image(data: bytes) -> dict[str, Any]:
    return {"images": [{"bytes": data, "path": None}]}


def bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (9000, 9000)).save(buffer, "PNG")
    return buffer.getvalue()


ASK, ANSWER = ("user", "<image> What?", False), ("assistant", "A dog.", True)
RUNS = make_mask(3, 2, 9, 10).counts

CASES: list[tuple[dict[str, Any], set[str]]] = [
    (row(0), set()),
    (row(1, id=None), {"id is missing"}),
    (row(0), {"repeated id", "near duplicate of another image"}),
    (row(3, images=None), {"image is missing"}),
    (row(4, **image(b"not a picture")), {"image is no picture"}),
    (row(5, **image(jpeg(5)[:-200])), {"image is truncated"}),
    (row(6, **image(bomb()), sizes_hw=[[9000, 9000]], regions=[]), {
        "image is too large to decode", "caption without an entity",
    }),
    (row(7, sizes_hw=[[32, 24]], regions=[], caption=None), {
        "size is not the image's", "caption is missing",
    }),
    (with_region(8, phrase=" "), {"phrase is empty", "span does not spell its phrase"}),
    (with_region(9, image=3), {"region of an image that is not there"}),
    (with_region(10, box=[1.0, 2.0]), {"box is missing"}),
    (with_region(11, box=[1.0, 2.0, float("nan"), 4.0]), {"box is not finite"}),
    (with_region(12, box=[5.0, 5.0, 5.0, 30.0]), {"box is empty"}),
    (with_region(28, box=[2.0, 5.0, 2.0, 9.0]), {"box is empty"}),
    (with_region(13, box=[0.1, 0.1, 0.4, 0.5]), {"box looks normalised"}),
    (with_region(14, box=[20.0, 12.0, 6.0, 8.0]), {"box looks like xywh"}),
    (with_region(15, box=[3.0, 2.0, 6.0, 8.0]), {"box looks like xywh"}),
    (with_region(16, box=[3.0, 2.0, 60.0, 8.0], mask=None), {"box is outside the image"}),
    (with_region(17, span=[0, 5]), {"span does not spell its phrase"}),
    (with_region(18, mask={"size": [32, 24], "counts": RUNS}), {"mask of another size"}),
    (with_region(19, mask={"size": [24, 32], "counts": "}}"}, score=1.5), {
        "mask is corrupt", "score is not in [0, 1]",
    }),
    (conversation(20, ASK, ANSWER), set()),
    (conversation(21, ("user", "What?", False), ANSWER), {"image without a placeholder"}),
    (conversation(22, ("user", "<image><image>", False), ANSWER), {
        "placeholder without an image",
    }),
    (conversation(23, ANSWER, ASK), {"turns are out of order"}),
    (conversation(24, ASK, ("assistant", "x", False)), {"nothing to learn"}),
    (conversation(25, ASK, ("robot", "x", True)), {"unknown role", "turns are out of order"}),
    (conversation(27, ASK, ("user", "Well?", False), ANSWER), {"turns are out of order"}),
    (conversation(26, ("user", "Hm", False), ("assistant", "<image>", True)), {
        "image in a learned turn",
    }),
]  # fmt: skip


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save(tmp_path_factory.mktemp("data"), [made for made, _ in CASES])
    found: dict[int, set[str]] = {index: set() for index in range(len(CASES))}
    notes: list[tuple[int, str, Any]] = []
    result = check_dataset(
        folder, settings=Settings(), note=lambda *args: notes.append(args), duplicate_bits=0
    )
    for index, _, fault in notes:
        found[index].add(fault.kind)
    return folder, result, found, notes


@pytest.mark.parametrize("index", range(len(CASES)))
def test_all_faults_of_a_record(index: int, checked: Any) -> None:
    _, _, found, _ = checked
    assert found[index] == CASES[index][1]


def test_the_totals(checked: Any) -> None:
    _, result, _, notes = checked
    assert result.records == len(CASES)
    assert result.unusable == sum(
        any(LEVELS[kind] != "note" for kind in kinds) for _, kinds in CASES
    )
    assert result.faults.total() == len(notes)
    counts = result.as_json()["faults"]
    assert counts["box looks like xywh"]["records"] == 2
    assert counts["box looks like xywh"]["example"] == "s14 regions[0].box"


def test_processes_find_the_same(checked: Any) -> None:
    folder, result, _, notes = checked
    again: list[Any] = []
    other = check_dataset(
        folder, settings=Settings(), note=lambda *a: again.append(a), duplicate_bits=0, workers=2
    )
    assert (other, again) == (result, notes)


def test_the_cleaned_copy_is_clean(checked: Any, tmp_path: Path) -> None:
    folder, _, _, notes = checked
    drop: dict[int, list[Fault]] = {}
    for index, _, fault in notes:
        if fault.level == "record":
            drop.setdefault(index, []).append(fault)
    counts = clean_dataset(folder, "train", tmp_path / "out", drop=drop)
    assert counts["records left out"] == len(drop)
    assert counts["spans removed: span does not spell its phrase"] == 1
    assert counts["masks removed: mask of another size"] == 1
    result = check_dataset(tmp_path / "out", settings=Settings(), duplicate_bits=-1)
    assert result.clean
    assert result.records == len(CASES) - len(drop)
    copies = {sample.id: sample for sample in open_dataset(tmp_path / "out")}
    assert len(copies["s0"].regions) == 2
    assert [region.span for region in copies["s17"].regions] == [None, (18, 21)]
    assert [region.phrase for region in copies["s14"].regions] == ["cat"]


def test_boxes_a_little_outside_are_clipped(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", [with_region(0, box=[20.0, 2.0, 36.0, 8.0], mask=None)])
    counts = clean_dataset(folder, "train", tmp_path / "out", drop={})
    assert counts == {"boxes clipped to the image": 1}
    assert open_dataset(tmp_path / "out")[0].regions[0].box == (20.0, 2.0, 32.0, 8.0)


def test_a_torn_shard_is_a_fault_of_its_records(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", [row(number) for number in range(8)])
    shard = folder / "train-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[60:400] = bytes(340)
    shard.write_bytes(data)
    result = check_dataset(folder, settings=Settings())
    assert result.records == 8
    assert result.faults["record cannot be used"] == 4


def test_what_a_model_cannot_use(tmp_path: Path) -> None:
    tiny = with_region(1, box=[0.0, 0.0, 2.0, 2.0], mask=None)
    folder = save(tmp_path / "in", [row(0), tiny | {"caption": tiny["caption"] + " x" * 90}])
    crop = Preprocess(mode="center_crop", image_px=28)
    limits = ModelLimits(
        grid=Grid(preprocess=crop, patch_px=14), max_tokens=60, tokenizer=tiny_tokenizer()
    )
    notes: list[Any] = []
    check_dataset(folder, settings=Settings(limits=limits), note=lambda *args: notes.append(args))
    assert [(index, fault.kind, fault.where) for index, _, fault in notes] == [
        (1, "caption is longer than the model reads", "caption"),
        (1, "object covers no visual token", "regions[0]"),
    ]


@pytest.mark.parametrize("distance", [0, 1, 3, 7])
def test_duplicates_equal_a_slow_search(distance: int) -> None:
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 60, dtype=np.uint64)
    near = hashes[:30] ^ (np.uint64(1) << rng.integers(0, 64, 30, dtype=np.uint64))
    hashes = rng.permutation(np.concatenate([hashes, near, hashes[:5]]))
    groups = list(range(len(hashes)))  # slow: all pairs, groups joined until nothing changes
    for _ in range(len(hashes)):
        for one in range(len(hashes)):
            for other in range(one):
                if bin(int(hashes[one]) ^ int(hashes[other])).count("1") <= distance:
                    groups[one] = groups[other] = min(groups[one], groups[other])
    wanted = {n: group for n, group in enumerate(groups) if n != group}
    assert find_duplicates(hashes, distance=distance) == wanted


def test_a_picture_resized_or_encoded_again_is_a_near_duplicate(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(6):
        cells = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        made.append(cells.resize((320, 240), Image.Resampling.BICUBIC))
    copies = [(made[0], "JPEG", 30), (made[0].resize((200, 150)), "PNG", 90), (made[1], "WEBP", 60)]
    rows = []
    for number, (picture, kind, quality) in enumerate([(m, "JPEG", 95) for m in made] + copies):
        buffer = io.BytesIO()
        picture.save(buffer, kind, quality=quality)
        size = [picture.height, picture.width]
        rows.append(row(number, **image(buffer.getvalue()), sizes_hw=[size], regions=[]))
    notes: list[Any] = []
    folder = save(tmp_path / "in", rows)
    check_dataset(folder, settings=Settings(), note=lambda *args: notes.append(args))
    duplicates = {i: fault.detail for i, _, fault in notes if fault.kind.startswith("near")}
    assert duplicates == {6: "s0", 7: "s0", 8: "s1"}
