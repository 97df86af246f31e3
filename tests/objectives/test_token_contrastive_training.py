"""SEA in the training loop: processes change nothing, no LLM pass of its own, mistakes named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.data.records import open_dataset
from diglot.models.language import Language
from diglot.models.trainable import Trainable
from diglot.models.vlm import build_vlm
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.objectives.sea_batches import save_labels
from tests.tiny_folders import save_world, tiny_stage
from tests.train.outcome import figures, losses, rows, steps, write_rows
from tests.train.test_processes import assert_near, train_by_two

SAMPLES = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_world(tmp_path_factory.mktemp("world"), samples=SAMPLES)


def contrast(data: Path, **options: Any) -> dict[str, Any]:
    """Settings of SEA on a dataset, for which labels are made where there are none."""
    dataset = open_dataset(data)
    labels = data / f"labels {dataset.fingerprint[:8]}"
    if not labels.exists():
        save_labels(labels, dataset)
    plus = {"token_contrastive": {"weight": 0.7, **options}}
    return {"objective": "caption", "plus": plus, "labels": str(labels)}


@pytest.mark.parametrize("learns", [Trainable(), Trainable(language=True)], ids=["few", "words"])
def test_gathered_negatives_are_those_of_one_large_batch(world, tmp_path, learns):
    # 11 samples in steps of 4, 4 and 3
    settings = {
        **contrast(world / "data", negatives="gathered"),
        "max_samples": 11,
        "trainable": learns,
    }
    train(tiny_stage(world, tmp_path / "one", **settings, micro_batch=4))
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings, micro_batch=2))
    assert outcomes == {0: (3, ""), 1: (0, "")}
    assert_near(tmp_path / "two", tmp_path / "one")
    scales = [line["logit_scale"] for line in steps(tmp_path / "one")]
    assert scales[0] == 1.0
    assert len(set(scales)) == 3


def test_negatives_of_a_process_are_those_of_a_micro_batch(world, tmp_path):
    settings = {**contrast(world / "data", window=1), "max_samples": 11, "micro_batch": 1}
    train(tiny_stage(world, tmp_path / "one", **settings))
    train_by_two(tiny_stage(world, tmp_path / "two", **settings))
    assert_near(tmp_path / "two", tmp_path / "one")


def test_gathered_with_a_process_that_has_nothing(world, tmp_path):
    damaged = rows(SAMPLES)
    for row in damaged[::2]:
        row["images"] = [{"bytes": b"x"}]
    data = str(write_rows(tmp_path / "data", damaged))
    options = contrast(Path(data), negatives="gathered")
    settings = {**options, "data": data, "global_batch": 2}
    train(tiny_stage(world, tmp_path / "one", **settings, micro_batch=2))
    train_by_two(tiny_stage(world, tmp_path / "two", **settings, micro_batch=1))
    pairs = zip(figures(tmp_path / "two"), figures(tmp_path / "one"), strict=True)
    for ours, expected in pairs:
        assert ours == pytest.approx(expected, rel=1e-5)


def test_alone_it_learns_without_the_language_model(world, tmp_path, monkeypatch):
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("no LLM pass is needed")

    options = {"name": "token_contrastive", "window": 1, "logit_scale_init": 2.0}
    labels = contrast(world / "data")["labels"]
    settings = {"objective": options, "labels": labels, "epochs": 30, "max_samples": 4}
    optim = OptimConfig(lr=1e-2)
    stage = tiny_stage(world, tmp_path / "run", **settings, optim=optim, checkpoint_every=99)
    vlm = build_vlm(stage.model)
    monkeypatch.setattr(Language, "decode", never)
    train(stage, vlm=vlm)
    logged = losses(tmp_path / "run")
    assert logged[-1] < 0.9 * logged[0]
    assert all(line["items/contrast"] > 0 for line in figures(tmp_path / "run"))


def test_without_labels_the_run_does_not_start(world, tmp_path):
    settings = contrast(world / "data") | {"labels": None}
    with pytest.raises(ConfigError, match="diglot label"):
        train(tiny_stage(world, tmp_path / "run", **settings))
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    with pytest.raises(ConfigError, match="no patch labels here"):
        train(tiny_stage(world, tmp_path / "run", **settings | {"labels": "nowhere"}))


def test_other_labels_are_another_run(world, tmp_path):
    settings = contrast(world / "data")
    train(tiny_stage(world, tmp_path / "run", **settings))
    dataset = open_dataset(world / "data")
    other = save_labels(tmp_path / "other", dataset)
    moved = tiny_stage(world, tmp_path / "run", **settings | {"labels": str(other)})
    train(moved)  # the same labels elsewhere
    words = other / "words.txt"
    kept = words.read_text()
    words.write_text("\n".join(["x"] * 8) + "\n")
    with pytest.raises(DataError, match=r"words\.txt: the file is not as it was written"):
        train(moved)
    words.write_text(kept)
    moved = replace(moved, labels=str(save_labels(tmp_path / "third", dataset, seed=1)))
    with pytest.raises(ConfigError, match="data_fingerprint"):
        train(moved)
