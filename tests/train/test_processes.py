"""Two processes give the losses and weights of one, also where one of them has nothing to do."""

import multiprocessing
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

from diglot.data.config import FeaturesConfig
from diglot.data.records import write_dataset
from diglot.models.trainable import Trainable
from diglot.train.config import StageConfig
from diglot.train.loop import Probe, train
from tests.models.test_chat_template import CHATML
from tests.objectives.test_instruct import conversation
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, rejected, rows, steps, weights, write_rows

TIMEOUT_S = 300


def one_of_two(
    rank: int, port: int, config: StageConfig, messages, prepare: Callable[[], None], probe
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
    events = []
    try:
        prepare()
        train(config, report=events.append, probe=probe)
        messages.put((rank, len(events), ""))
    except Exception as error:
        messages.put((rank, len(events), f"{type(error).__name__} {error}"))
    torch.distributed.destroy_process_group()


def train_by_two(
    config: StageConfig,
    prepare: Callable[[], None] = lambda: None,
    probe: Probe | None = None,
) -> dict[int, tuple[int, str]]:
    """Per process: how often it reported, and its error if any. Each begins by `prepare`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    messages = context.Queue()
    processes = [
        context.Process(target=one_of_two, args=(rank, port, config, messages, prepare, probe))
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    try:
        messages_of = [messages.get(timeout=TIMEOUT_S) for _ in processes]
        for process in processes:
            process.join(TIMEOUT_S)
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()
    return {rank: (reports, error) for rank, reports, error in messages_of}


def assert_near(out: Path, alone: Path, part: str = "projector") -> None:
    for a, b in zip(figures(out), figures(alone), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    mine, theirs = weights(out, part), weights(alone, part)
    for name, weight in theirs.items():
        assert torch.allclose(mine[name], weight, rtol=1e-5, atol=1e-5), name


RISING = {"schedule": "linear", "start": 0.5, "end": 5.0}
# token_contrastive, which contrasts within a micro-batch, has tests of its own
OBJECTIVES = {
    "caption": {"objective": "caption"},
    "code_switch": {"objective": "code_switch"},
    "patch_aligned": {"plus": {"patch_aligned": {"weight": RISING}}},
    "patch_aligned alone": {"objective": "patch_aligned"},
    "reconstruction": {"mix": {"reconstruction": {"share": 0.5, "weight": 0.1}}, "max_samples": 7},
    "all": {
        "objective": "code_switch",
        "plus": {"patch_aligned": {"weight": 0.5}},
        "mix": {"reconstruction": {"loss": "sigmoid_l2", "share": 0.5, "hidden": "unnormed"}},
        "max_samples": 7,
    },
}


@pytest.mark.parametrize("objectives", OBJECTIVES.values(), ids=OBJECTIVES)
def test_two_processes_train_as_one(world, tmp_path, objectives):
    # 11 documents in steps of 4, 4 and 3; the second process makes a smaller last pass
    settings = {"max_samples": 11, "micro_batch": 1, **objectives}
    train(tiny_stage(world, tmp_path / "one", **settings))
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings))
    assert outcomes == {0: (3, ""), 1: (0, "")}
    assert_near(tmp_path / "two", tmp_path / "one")


def test_a_step_with_fewer_samples_than_processes(world, tmp_path):
    settings = {"max_samples": 5, "global_batch": 2, "trainable": Trainable(language=True)}
    train(tiny_stage(world, tmp_path / "one", **settings))
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings))
    assert outcomes == {0: (3, ""), 1: (0, "")}
    assert_near(tmp_path / "two", tmp_path / "one")
    assert_near(tmp_path / "two", tmp_path / "one", "language")


@pytest.mark.parametrize("features", [False, True])
def test_one_process_has_only_bad_records(world, tmp_path, features):
    payloads = rows(10)
    for row in payloads[::2] + payloads[1:4:2]:
        row["images"] = [{"bytes": b"x"}]
    data = write_rows(tmp_path / "data", payloads)
    for name, run in (("one", train), ("two", train_by_two)):
        cache = FeaturesConfig(folder=str(tmp_path / f"cache {name}"), dtype="float32")
        settings = {"data": str(data), "global_batch": 2, "features": cache if features else None}
        run(tiny_stage(world, tmp_path / name, **settings, epochs=2))
    lines = steps(tmp_path / "two")
    assert len(lines) == 10
    assert any("loss" not in line for line in lines)  # a step of two bad ones is among them
    assert_near(tmp_path / "two", tmp_path / "one")
    for name in ("one", "two"):
        assert {line["id"] for line in rejected(tmp_path / name)} == {
            row["id"] for row in payloads if row["images"] == [{"bytes": b"x"}]
        }


def test_a_process_may_have_text_alone(world, tmp_path):
    """No image in a micro-batch: the projector gets a gradient of 0 there, and nothing hangs."""
    (tmp_path / "chat.jinja").write_text(CHATML)
    talk = [
        conversation(f"image {i}", "<image>\nWhat?", "A dog.", images=1)
        if i in (1, 2, 5)
        else conversation(f"text {i}", "Say a word.", "Guitar.")
        for i in range(8)
    ]
    write_dataset(talk, tmp_path / "talk")
    settings = {
        "data": str(tmp_path / "talk"),
        "objective": {"name": "instruct", "template": str(tmp_path / "chat.jinja")},
        "trainable": Trainable(language=True),
        "global_batch": 2,
        "micro_batch": 1,
    }
    train(tiny_stage(world, tmp_path / "one", **settings))
    outcomes = train_by_two(tiny_stage(world, tmp_path / "two", **settings))
    assert outcomes == {0: (4, ""), 1: (0, "")}
    assert_near(tmp_path / "two", tmp_path / "one")
    assert_near(tmp_path / "two", tmp_path / "one", "language")


def test_no_usable_record_stops_both(world, tmp_path):
    bad = [{**r, "images": [{"bytes": b"x"}]} for r in rows(4)]
    data = write_rows(tmp_path / "data", bad)
    outcomes = train_by_two(tiny_stage(world, tmp_path / "run", data=str(data)))
    assert "DataError" in outcomes[0][1]
    assert "none of the first 4 records" in outcomes[0][1]
    assert outcomes[0] == outcomes[1]
    assert len(rejected(tmp_path / "run")) == 4


def test_what_two_processes_left_one_resumes(world, tmp_path):
    settings = {"max_samples": 8, "checkpoint_every": 1}
    train_by_two(tiny_stage(world, tmp_path / "run", **settings))
    before = (tmp_path / "run" / "model" / "projector.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "run" / "model")
    train(tiny_stage(world, tmp_path / "run", **settings))
    assert (tmp_path / "run" / "model" / "projector.safetensors").read_bytes() == before
