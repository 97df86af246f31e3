import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diglot.core.errors import ConfigError
from diglot.core.run_files import read_metrics
from diglot.train.loop import train
from diglot.train.trackers import Tracker
from tests.tiny_folders import tiny_stage


def test_one_line_a_step_and_the_same_in_tensorboard(tmp_path):
    with Tracker(tmp_path, start=0) as tracker:
        tracker.log(0, {"loss": 0.1 + 0.2, "lr": 1.0})
        assert read_metrics(tmp_path / "metrics.jsonl")[0]["loss"] == 0.1 + 0.2  # at once
        tracker.log(1, {"loss": 2.0})
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")][1] == (1, 2.0)
    assert set(board.Tags()["scalars"]) == {"loss", "lr"}


def test_lines_that_run_again_and_torn_ones_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "loss": float(step)}) for step in range(4)]
    path.write_text("\n".join(lines) + '\n{"step": 4, "lo')
    assert len(read_metrics(path)) == 4
    with Tracker(tmp_path, start=2) as tracker:
        tracker.log(2, {"loss": 20.0})
    assert [line["loss"] for line in read_metrics(path)] == [0.0, 1.0, 20.0]


def test_a_process_that_is_not_the_main_one_writes_nothing(tmp_path):
    with Tracker(tmp_path / "run", start=0, active=False) as tracker:
        tracker.log(0, {"loss": 1.0})
    assert not (tmp_path / "run").exists()


def test_figures_go_to_the_users_own_trackers_too(world, tmp_path):
    stage = tiny_stage(world, tmp_path / "run", max_samples=8, trackers=["tensorboard"])
    train(stage)
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    board = EventAccumulator(str(tmp_path / "run" / "diglot"))
    board.Reload()
    tracked = {event.step: event.value for event in board.Scalars("loss")}
    assert tracked == {line["step"]: pytest.approx(line["loss"], rel=1e-6) for line in lines}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wanddb", "no tracker 'wanddb'; expected one of .*wandb"),
        ("aim", "the tracker 'aim' is not installed. pip install aim"),
    ],
)
def test_trackers_that_are_not_there_are_refused(world, tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny_stage(world, tmp_path / "run", trackers=[name]))
