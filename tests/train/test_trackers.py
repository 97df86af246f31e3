import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diglot.train.trackers import Tracker, read_metrics


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
