"""Models that a run keeps on its way, and their scores by one command (SEA Fig. 3a)."""

import itertools
import json
from pathlib import Path

import pytest

from diglot.cli.kept_checkpoints import list_kept
from diglot.core.errors import ConfigError
from diglot.measure.checkpoint import open_checkpoint
from diglot.train.loop import train
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world, tiny_stage

ROWS = [{"question": f"Is {n} even?", "choices": ["yes", "no"], "answer": n % 2} for n in range(6)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = save_world(tmp_path_factory.mktemp("kept"), samples=12)
    stage = tiny_stage(world, world / "run", keep_every=1, max_samples=12)
    train(stage)
    return world / "run"


def test_the_start_and_every_due_step_stay_and_the_end_is_the_model(run: Path) -> None:
    assert [folder.name for folder in sorted((run / "kept").glob("step-*"))] == [
        *("step-00000000", "step-00000001", "step-00000002")
    ]
    weights = [
        next(open_checkpoint(folder).projector.parameters()).detach()
        for folder in (*sorted((run / "kept").glob("step-*")), run / "model")
    ]
    assert all(not a.equal(b) for a, b in itertools.pairwise(weights))


def test_one_command_scores_them_in_order_and_shows_the_curve(run: Path, tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps(ROWS))
    options = {"multiple_choice": {"path": str(tmp_path / "q.json")}}
    args = ["--tasks", "multiple_choice", "--kept", "true", "--options", json.dumps(options)]
    args += ["--out", tmp_path / "e", "--json", tmp_path / "r.json", "--curve", tmp_path / "c.svg"]
    assert run_diglot("evaluate", run, *map(str, args)) == 0
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["runs"] == ["run-0", "run-1", "run-2", "run-3"]
    page = (tmp_path / "e" / "answers.html").read_text()
    assert "Over training" in page
    assert (tmp_path / "c.svg").exists()
    assert run_diglot("report", str(tmp_path / "r.json"), "--out", str(tmp_path / "p.html")) == 0
    assert "Over training" in (tmp_path / "p.html").read_text()


def test_runs_that_kept_nothing_are_named(run: Path) -> None:
    with pytest.raises(ConfigError, match="kept no model"):
        list_kept([run / "model"], None)
    folders, labels = list_kept([run], "sft")
    assert labels == "sft-0,sft-1,sft-2,sft-3"
    assert folders[-1] == run / "model"
