"""A record that cannot be used is rejected with its reason, and training continues."""

import io
import logging
import struct
import zlib

import pytest
from PIL import Image

from diglot.core.errors import DataError
from diglot.data.config import FeaturesConfig
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, losses, rejected, rows, steps, write_rows


def png(width: int, height: int) -> bytes:
    """A PNG that claims this size, and has no pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        content = name + body
        return struct.pack(">I", len(body)) + content + struct.pack(">I", zlib.crc32(content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b""))


def small_png(height: int, width: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def with_region(row, **changes):
    return {**row, "regions": [{**row["regions"][0], **changes}]}


DAMAGED = {
    "unreadable": (lambda r: {**r, "images": [{"bytes": b"not a picture"}]}, "not a picture"),
    "cut": (
        lambda r: {**r, "images": [{"bytes": r["images"][0]["bytes"][:200]}]},
        "picture cannot be read",
    ),
    "bomb": (
        lambda r: {**r, "images": [{"bytes": png(60000, 60000)}]},
        "picture is too large to decode",
    ),
    "no_image": (lambda r: {**r, "images": None}, "field is missing"),
    "other_size": (
        lambda r: {**r, "images": [{"bytes": small_png(50, 50)}]},
        "image and record differ in size",
    ),
    "no_size": (lambda r: {**r, "sizes_hw": None}, "field is missing"),
    "odd_size": (lambda r: {**r, "sizes_hw": [[48]]}, "expected two integers"),
    "negative_size": (lambda r: {**r, "sizes_hw": [[-48, 64]]}, "image size must be positive"),
    "thread": (lambda r: {**r, "sizes_hw": [[1, 30000]], "regions": []}, None),
    "box_outside": (
        lambda r: with_region(r, box=[0.0, 0.0, 1000.0, 20.0]),
        "box lies outside its image",
    ),
    "box_empty": (
        lambda r: with_region(r, box=[9.0, 9.0, 8.0, 12.0]),
        "box is empty or not finite",
    ),
    "box_nan": (
        lambda r: with_region(r, box=[float("nan"), 0.0, 5.0, 5.0]),
        "box is empty or not finite",
    ),
    "span": (lambda r: with_region(r, span=[0, 3]), "span does not match its caption"),
    "no_caption": (
        lambda r: {**r, "caption": "", "regions": []},
        "nothing to learn: the caption is empty",
    ),
    "long": (
        lambda r: {**r, "caption": "zqx " * 600, "regions": []},
        "longer than the language model reads",
    ),
    "no_id": (lambda r: {**r, "id": None}, "field is missing"),
}


@pytest.fixture(params=["pixels", "features"])
def damaged_run(world, tmp_path, request):
    """A run on all kinds of bad records between good ones."""
    bad = []
    for row, (name, (damage, _)) in zip(rows(len(DAMAGED)), DAMAGED.items(), strict=True):
        bad.append({**damage({**row, "id": name})})
    good = rows(6, seed=100)
    data = write_rows(tmp_path / "data", bad[:8] + good + bad[8:])
    features = FeaturesConfig(folder=str(tmp_path / "cache"), dtype="float32")
    changes = {"features": features} if request.param == "features" else {}
    return tiny_stage(world, tmp_path / "run", data=str(data), epochs=2, **changes), good


def test_bad_records_are_rejected_and_counted(damaged_run, tmp_path, caplog):
    config, good = damaged_run
    with caplog.at_level(logging.INFO, logger="diglot"):
        train(config)
    out = tmp_path / "run"
    assert len(steps(out)) == 12
    noted = {line["id"]: line for line in rejected(out)}
    assert len(noted) == len(rejected(out)) == len(DAMAGED)
    assert not {row["id"] for row in good} & set(noted)
    for name, (_, reason) in DAMAGED.items():
        line = noted["#21" if name == "no_id" else name]
        assert line["reason"].startswith(reason or "i"), line
        assert line["reason"] in line["detail"]
        if name != "no_id":
            assert name in line["detail"]
    counted = [r.getMessage() for r in caplog.records if r.getMessage().startswith("rejected:")]
    assert "rejected: box is empty or not finite, 2 records (see rejected.jsonl)" in counted
    assert len(counted) == len({line["reason"] for line in noted.values()})


def test_the_good_records_train_as_if_alone(world, tmp_path):
    """A step of good and bad records is the step of the good ones."""
    good = rows(2)
    bad = {**rows(1, seed=50)[0], "caption": "", "regions": []}
    alone = write_rows(tmp_path / "alone", good)
    mixed = write_rows(tmp_path / "mixed", [*good, bad])
    for name, data in (("a", alone), ("m", mixed)):
        train(tiny_stage(world, tmp_path / name, data=str(data), micro_batch=1))
    assert losses(tmp_path / "m") == pytest.approx(losses(tmp_path / "a"), rel=1e-6)


def test_a_flat_or_rounded_box_is_counted_and_its_record_trains(world, tmp_path, caplog):
    flat, wide = rows(2)
    beyond = [0.0, 0.0, wide["sizes_hw"][0][1] + 1.5, 9.0]
    bad = with_region(flat, box=[9.0, 9.0, 9.0, 12.0]), with_region(wide, box=beyond)
    data = write_rows(tmp_path / "data", bad)
    with caplog.at_level(logging.INFO, logger="diglot"):
        train(tiny_stage(world, tmp_path / "run", data=str(data)))
    assert not (tmp_path / "run" / "rejected.jsonl").exists()
    assert "left out: regions without area, 1 times" in caplog.text
    assert "left out: boxes clipped to the image, 1 times" in caplog.text


def test_a_step_without_a_usable_record_changes_nothing(world, tmp_path):
    good, bad = rows(1), [{**r, "images": [{"bytes": b"x"}]} for r in rows(3, seed=10)]
    data = write_rows(tmp_path / "data", good + bad)
    train(tiny_stage(world, tmp_path / "run", data=str(data), global_batch=1, micro_batch=1))
    logged = steps(tmp_path / "run")
    assert sorted(line["items/text"] > 0 for line in logged) == [False, False, False, True]
    assert sorted("loss" in line for line in logged) == [False, False, False, True]
    assert all(line["grad_norm"] == 0.0 for line in logged if "loss" not in line)
    assert len(rejected(tmp_path / "run")) == 3


@pytest.mark.parametrize("features", [False, True])
def test_no_usable_record_at_all_stops_before_step_0(world, tmp_path, features):
    bad = [{**r, "images": [{"bytes": b"x"}]} for r in rows(20)]
    data = write_rows(tmp_path / "data", bad)
    cache = FeaturesConfig(folder=str(tmp_path / "cache")) if features else None
    with pytest.raises(DataError, match="none of the first 20 records can be used") as error:
        train(tiny_stage(world, tmp_path / "run", data=str(data), features=cache))
    assert "not a picture" in str(error.value)
    assert len(rejected(tmp_path / "run")) == 20
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_sizes_of_no_record_at_all(world, tmp_path):
    bad = [{**r, "sizes_hw": None} for r in rows(3)]
    data = write_rows(tmp_path / "data", bad)
    cache = FeaturesConfig(folder=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="field is missing"):
        train(tiny_stage(world, tmp_path / "run", data=str(data), features=cache))


def test_a_resumed_run_reports_no_record_twice(damaged_run, tmp_path):
    config, _ = damaged_run
    train(config)
    first = rejected(tmp_path / "run")
    model = tmp_path / "run" / "model"
    for file in model.iterdir():
        file.unlink()
    model.rmdir()
    train(config)
    assert rejected(tmp_path / "run") == first


def test_a_checkpoint_before_the_first_update_changes_nothing(world, tmp_path):
    payloads = rows(8)
    for row in payloads[:6]:
        row["images"] = [{"bytes": b"x"}]
    data = write_rows(tmp_path / "data", payloads)
    for every in (1, 100):
        settings = {"data": str(data), "global_batch": 1, "checkpoint_every": every}
        train(tiny_stage(world, tmp_path / str(every), **settings))
    assert ["loss" in line for line in figures(tmp_path / "1")][:2] == [False, False]
    assert figures(tmp_path / "1") == figures(tmp_path / "100")
