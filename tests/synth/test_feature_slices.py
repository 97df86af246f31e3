"""The feature cache by the engines: the bytes that training would write, whatever stops it."""

import json
from pathlib import Path

import pytest
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world, tiny_stage
from tests.train.outcome import rows, write_rows

from diglot.core.progress import ignore_progress
from diglot.data.config import FeaturesConfig
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejected
from diglot.models.features import open_features
from diglot.models.vlm import build_vlm
from diglot.synth import feature_slices
from diglot.synth.feature_slices import FeatureWorker, fill_features, listed_name


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return save_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(feature_slices, "SLICE_IMAGES", 8)


def fill(world: Path, folder: Path, data: str = "data", **engine):
    stage = tiny_stage(world, folder / "run")
    config = FeaturesConfig(folder=str(folder))
    rejected = Rejected(folder / "rejected.jsonl")
    dataset = open_dataset(world / data)
    return fill_features(stage.model, dataset, config, rejected, ignore_progress, **engine)


def by_training(world: Path, folder: Path, data: str = "data"):
    vlm = build_vlm(tiny_stage(world, folder / "run").model)
    config = FeaturesConfig(folder=str(folder))
    return open_features(
        vlm, open_dataset(world / data), config, Rejected(folder / "rejected.jsonl")
    )


def contents_of(cache) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cache.folder.glob("*.bin"))}


def test_the_cache_is_the_one_that_training_makes(world: Path, tmp_path: Path) -> None:
    made = fill(world, tmp_path / "made")
    assert contents_of(made) == contents_of(by_training(world, tmp_path / "trained"))
    assert not by_training(world, tmp_path / "made").missing()


def test_a_stopped_run_resumes_and_makes_no_slice_twice(
    world: Path, tmp_path: Path, monkeypatch
) -> None:
    encoded: list[int] = []
    real = FeatureWorker._encode

    def count(self, batch):
        encoded.extend(index for index, _ in batch)
        if len(encoded) == 16:
            raise OSError(28, "No space left on device")
        return real(self, batch)

    monkeypatch.setattr(FeatureWorker, "_encode", count)
    with pytest.raises(OSError, match="No space left"):
        fill(world, tmp_path / "made")
    assert encoded == list(range(16))
    made = fill(world, tmp_path / "made")
    assert encoded[16:] == list(range(8, 20))
    assert contents_of(made) == contents_of(by_training(world, tmp_path / "trained"))


def test_a_slice_that_was_written_but_not_marked_is_marked(
    world: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(feature_slices._Filler, "take_done", lambda self, number: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fill(world, tmp_path / "made")
    monkeypatch.undo()
    monkeypatch.setattr(feature_slices, "SLICE_IMAGES", 8)
    made = fill(world, tmp_path / "made")
    assert contents_of(made) == contents_of(by_training(world, tmp_path / "trained"))


def test_a_bad_image_is_rejected(world: Path, tmp_path: Path) -> None:
    payloads = rows(6)
    payloads[2]["images"] = [{"bytes": b"x"}]
    write_rows(world / "bad", payloads)
    made = fill(world, tmp_path / "made", "bad")
    assert Rejected(tmp_path / "made" / "rejected.jsonl").counts == {"not a picture": 1}
    assert contents_of(made) == contents_of(by_training(world, tmp_path / "trained", "bad"))
    with pytest.raises(ValueError, match="not a picture"):
        made.views(2)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_other_processes_write_the_same_bytes(world: Path, tmp_path: Path, engine: str) -> None:
    if engine == "ray":
        ray = pytest.importorskip("ray")
    try:
        made = fill(world, tmp_path / "made", engine=engine, workers=2)
    finally:
        if engine == "ray":
            ray.shutdown()
    assert contents_of(made) == contents_of(by_training(world, tmp_path / "trained"))


RECIPE = """
objective: {{name: code_switch}}
model:
  encoder: {{name: clip, path: {world}/clip}}
  projector: {{name: mlp, hidden: 24}}
  language: {{path: {world}/not_there}}
"""  # features need no language model


def test_the_verb(world: Path, tmp_path: Path, capsys) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(world=world))
    args = ["features", str(world / "data"), f"--like=[{recipe}]"]
    assert run_diglot(*args) == 2
    assert "Give --folder" in capsys.readouterr().err
    assert run_diglot(*args, f"--folder={tmp_path}/cache", "--dtype=float32") == 0
    assert "features of 20 samples" in capsys.readouterr().out


def test_what_is_rejected_is_counted_by_dataset(world: Path, tmp_path: Path, capsys) -> None:
    payloads = rows(6)
    payloads[2]["images"] = [{"bytes": b"x"}]
    write_rows(tmp_path / "bad", payloads)
    recipe, summary = tmp_path / "recipe.yaml", tmp_path / "summary.json"
    recipe.write_text(RECIPE.format(world=world))
    more = [f"--like=[{recipe}]", f"--folder={tmp_path}/cache", "--json", summary]
    listed = tmp_path / "cache" / "rejected.jsonl"
    for data, counts in (
        (tmp_path / "bad", {"not a picture": 1}),
        (world / "data", {}),
        (tmp_path / "bad", {"not a picture": 1}),  # the cache is there
    ):
        assert run_diglot("features", data, *more) == 0
        assert json.loads(summary.read_text())["rejected"] == counts
        shown = f"1 records rejected, {listed}: not a picture" in capsys.readouterr().out
        assert shown == bool(counts)
    (line,) = listed.read_text().splitlines()
    assert f"{tmp_path}/bad, train" in json.loads(line)["dataset"]


def test_what_training_rejected_is_listed_too(world: Path, tmp_path: Path) -> None:
    payloads = rows(4)
    payloads[1]["images"] = [{"bytes": b"x"}]
    write_rows(world / "damaged", payloads)
    by_training(world, tmp_path / "made", "damaged")
    (tmp_path / "made" / "rejected.jsonl").unlink()
    cache = fill(world, tmp_path / "made", "damaged")
    found = Rejected(tmp_path / "made" / "rejected.jsonl")
    assert found.counts_of(listed_name(cache)) == {"not a picture": 1}
