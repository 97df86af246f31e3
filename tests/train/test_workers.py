"""Workers that prepare samples: however they start the figures are the same, and one may die."""

import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
from torch.multiprocessing import reductions

from diglot.core.errors import ConfigError
from diglot.data.config import FeaturesConfig
from diglot.train.batches import WorkerError, explain_dead_workers
from diglot.train.loop import train
from diglot.train.trackers import Tracker
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, weights

SEVERAL = {
    "objective": {"name": "code_switch", "replace_probability": 0.5},
    "max_samples": 14,
    "epochs": 2,
    "global_batch": 4,
    "micro_batch": 3,
    "checkpoint_every": 1,
}


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_stage(world, tmp_path_factory.mktemp("alone") / "run", **SEVERAL)).parent


def same(out: Path, other: Path) -> bool:
    ours, theirs = weights(out), weights(other)
    return figures(out) == figures(other) and all(ours[n].equal(theirs[n]) for n in theirs)


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("cached", [False, True])
def test_workers_change_no_figure(world, tmp_path, alone, start: str, cached: bool) -> None:
    features = {"features": FeaturesConfig(folder=str(tmp_path / "features"), dtype="float32")}
    workers = {"workers": 2, "worker_start": start}
    stage = SEVERAL | workers | (features if cached else {})
    out = train(tiny_stage(world, tmp_path / "run", **stage)).parent
    if cached:  # features are encoded in batches of another size: to rounding
        assert [f["loss"] for f in figures(out)] == pytest.approx(
            [f["loss"] for f in figures(alone)], rel=1e-4
        )
    else:
        assert same(out, alone)


def test_a_killed_worker_ends_in_one_message_and_the_run_resumes(world, tmp_path, alone) -> None:
    def kill_worker(progress) -> None:
        if progress.stage == "train" and progress.done >= 8 and multiprocessing.active_children():
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    stage = SEVERAL | {"workers": 2}
    with pytest.raises(WorkerError, match=r"^workers: a data-loader worker was killed; got "):
        train(tiny_stage(world, tmp_path / "run", **stage), report=kill_worker)
    assert not (tmp_path / "run" / "model").exists()
    assert len(figures(tmp_path / "run")) >= 2
    assert same(train(tiny_stage(world, tmp_path / "run", **stage)).parent, alone)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), explain_dead_workers():
        raise RuntimeError("shapes differ")
    with pytest.raises(ConnectionResetError), explain_dead_workers():
        raise ConnectionResetError("of a tracker's server")
    assert issubclass(WorkerError, ValueError)


def test_a_worker_that_dies_with_a_tensor_under_way_is_explained() -> None:
    class Gone:
        def detach(self) -> int:
            raise ConnectionResetError(104, "reset by peer")

    with pytest.raises(WorkerError, match=r"got .*reset by peer"), explain_dead_workers():
        reductions.rebuild_storage_fd(torch.UntypedStorage, Gone(), 4)
    assert not issubclass(WorkerError, ConfigError)


def test_an_error_of_torch_while_a_lost_connection_is_looked_into_is_explained(monkeypatch) -> None:
    """Torch raises in a signal handler: at any line, this one's among them."""

    def interrupt(error: BaseException) -> bool:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr("diglot.train.batches._raised_by_transfer", interrupt)
    with pytest.raises(WorkerError, match="got DataLoader worker"), explain_dead_workers():
        raise ConnectionResetError(104, "reset by peer")


def test_an_error_of_torch_while_trackers_are_closed_is_explained(
    world, tmp_path, monkeypatch
) -> None:
    def interrupt(self: Tracker, *error: object) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(Tracker, "__exit__", interrupt)
    with pytest.raises(WorkerError, match="got DataLoader worker"):
        train(tiny_stage(world, tmp_path / "run", **SEVERAL))


def test_what_a_worker_gets_has_no_weights(world, tmp_path) -> None:
    """A sample's way into the model travels; neither a part of the model nor a head does."""
    from diglot.data.records import open_dataset
    from diglot.train.datasets import RunDataset, TrainingData
    from diglot.train.mixture import build_mixture
    from diglot.train.samples import PreparedSamples
    from tests.tiny import tiny_vlm

    mixture = build_mixture("caption", {"token_contrastive": {"weight": 1.0}}, {})
    assert len(list(mixture.heads.parameters())) == 1
    data = TrainingData([RunDataset(open_dataset(world / "data"))])
    samples = PreparedSamples(data, tiny_vlm().processor, mixture, 0)
    there = pickle.loads(pickle.dumps(samples))
    assert not list(there.objective.heads.parameters())
    assert there.objective.terms == mixture.terms
    assert len(list(samples.objective.heads.parameters())) == 1
