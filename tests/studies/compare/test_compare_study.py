"""A small comparison from start to end: alone, side by side, killed, half done."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, ignore_progress
from diglot.core.run_files import read_metrics
from diglot.data.records import write_dataset
from diglot.studies.compare.job import run_job
from diglot.studies.compare.study import open_study
from diglot.studies.compare.worker import serve_jobs
from tests.studies.compare.small_study import found, small_study, study_settings
from tests.tiny_folders import tiny_samples

KEYS = {"region_matching", "region_naming", "pointing", "iou", "caption_nll"}
OWN = """
import multiprocessing
import os
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Config:
    pass

def build(config):
    if multiprocessing.parent_process():
        os._exit(7)
    return object()
"""


def test_every_measure_of_every_row_size_and_seed(one_by_one):
    study, results = one_by_one
    assert set(found(results)) == {
        (row, samples, seed) for row in ("caption", "mmcs") for samples in (4, 8) for seed in (0, 1)
    }
    assert set(results["measures"]) == KEYS  # the measures without scenes are left out
    for state, scores in found(results).values():
        assert state == "done"
        assert set(scores) == KEYS
        assert scores["caption_nll"]["low"] <= scores["caption_nll"]["value"]
    assert json.loads((study.out / "results.json").read_text()) == results
    assert (study.out / "sizes.png").exists()
    with open(study.out / "results.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 8 * len(KEYS)
    values = {(x["row"], x["samples"], x["seed"], x["measure"]): x["value"] for x in lines}
    mine = found(results)["mmcs", 8, 1][1]["iou"]["value"]
    assert float(values["mmcs", "8", "1", "iou"]) == mine


def test_seeds_rows_and_sizes_differ_and_questions_do_not(one_by_one):
    nll = {key: scores["caption_nll"] for key, (_, scores) in found(one_by_one[1]).items()}
    assert len({score["value"] for score in nll.values()}) == 8
    assert len({score["n"] for score in nll.values()}) == 1


def test_the_table_is_the_mean_over_seeds_with_its_spread(one_by_one):
    results = one_by_one[1]
    row = next(
        line
        for line in results["table"]
        if (line["row"], line["samples"], line["measure"]) == ("mmcs", 8, "caption_nll")
    )
    values = [found(results)["mmcs", 8, s][1]["caption_nll"]["value"] for s in (0, 1)]
    assert row["mean"] == pytest.approx(sum(values) / 2)
    assert (row["min"], row["max"], row["seeds"]) == (min(values), max(values), 2)


def test_costs_name_what_was_learned_from(one_by_one):
    costs = {(c["row"], c["samples"]): c for c in one_by_one[1]["costs"]}
    assert costs["mmcs", 8]["documents"] == 8
    assert set(costs["mmcs", 8]["learned"]) == {"text", "entity"}
    learned = costs["mmcs", 8]["learned"], costs["caption", 8]["learned"]
    assert learned[0]["text"] + learned[0]["entity"] == learned[1]["text"]
    assert costs["caption", 8]["train_seconds"] > 0


def test_rows_of_one_encoder_share_its_features(one_by_one):
    caches = [p for p in (one_by_one[0].out / "features").iterdir() if p.is_dir()]
    assert len(caches) == 2  # of the training scenes and of the held-out ones


# each step multiplies the weights by -1e18
DIVERGING = {"lr": 1e9, "weight_decay": 1e9, "clip": 0}


def test_small_sizes_first_and_the_first_seed_of_all_before_the_next(one_by_one):
    order = [(job.seed, job.samples, job.row) for job in one_by_one[0].jobs]
    assert order == [(s, n, row) for s in (0, 1) for n in (4, 8) for row in ("caption", "mmcs")]


def test_side_by_side_is_the_same_and_a_row_that_fails_stops_no_other(
    compare_world, tmp_path, monkeypatch, one_by_one
):
    (tmp_path / "own_objectives").mkdir()
    (tmp_path / "own_objectives" / "dying.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    recipe = str(compare_world / "recipe.yaml")
    rows = {
        "dies": {"config": recipe, "set": {"objective": "own_objectives.dying"}},
        "diverges": {"config": recipe, "set": {"optim": DIVERGING, "epochs": 3}},
    }
    rows = study_settings(compare_world, tmp_path)["rows"] | rows
    once = {"samples": [4], "seeds": [0], "rows": rows, "jobs": 2}
    study = open_study(small_study(compare_world, tmp_path / "study", **once))
    events: list[Progress] = []
    results = study.run(events.append)
    scores, alone = found(results), found(one_by_one[1])
    for key in (("caption", 4, 0), ("mmcs", 4, 0)):
        assert scores[key] == alone[key]
    assert {event.stage for event in events} == {"study", "job 1", "job 2"}
    assert Progress("study", 4, 4) in events
    reasons = {job["row"]: job["reason"] for job in results["jobs"] if job["state"] == "failed"}
    assert "exit code 7" in reasons["dies"]
    assert "loss is not finite" in reasons["diverges"]
    assert sum(job["state"] == "failed" for job in results["jobs"]) == 2
    page = (study.out / "report.html").read_text()
    assert "exit code 7" in page
    assert "2 of 4 runs done, 2 failed" in page


def command(config: Path) -> list[str]:
    return [sys.executable, "-m", "diglot", "compare", "--config", str(config)]


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pids: list[int]) -> bool:
    """Within some seconds: Python's own tracker of resources ends after the one it tracks for."""
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() and _alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are read off /proc")
def test_interrupted_killed_and_resumed(compare_world, tmp_path, one_by_one):
    out = tmp_path / "study"
    settings = study_settings(compare_world, out)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(settings))
    whole = one_by_one[0].jobs

    first = subprocess.Popen(
        command(tmp_path / "study.yaml"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: (out / "runs" / "caption" / "4-0" / "measures.json").exists(), first)
    workers = children(first.pid)
    assert workers
    os.killpg(first.pid, signal.SIGINT)  # as a terminal sends Ctrl-C to all of them
    complaints = first.communicate()[1]
    assert first.returncode == 130
    assert "The same command resumes" in complaints
    assert "Traceback" not in complaints
    assert gone(workers)
    measured = (out / "runs" / "caption" / "4-0" / "measures.json").stat().st_mtime_ns

    second = subprocess.Popen(command(tmp_path / "study.yaml"), stderr=subprocess.DEVNULL)
    wait_for(lambda: read_metrics(out / "runs" / "caption" / "8-0" / "metrics.jsonl"), second)
    second.send_signal(signal.SIGKILL)
    second.communicate()

    study = open_study(small_study(compare_world, out))
    partial = study.write()
    states = [job["state"] for job in partial["jobs"]]
    assert "done" in states
    assert "waiting" in states
    assert "unfinished" in (out / "report.html").read_text()
    assert found(study.run(ignore_progress)) == found(one_by_one[1])
    assert (out / "runs" / "caption" / "4-0" / "measures.json").stat().st_mtime_ns == measured
    for job, other in zip(study.jobs, whole, strict=True):
        ours, theirs = (j.folder / "model" / "projector.safetensors" for j in (job, other))
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    "ended_by", ["the study is gone", pytest.param("SIGTERM", marks=pytest.mark.slow)]
)
def test_a_worker_that_is_stopped_saves_how_far_it_is(compare_world, tmp_path, ended_by):
    long = {"epochs": 500, "checkpoint_every": 10_000}
    rows = {"caption": str(compare_world / "recipe.yaml")}
    once = {"samples": [8], "seeds": [0], "rows": rows, "set": long}
    (job,) = open_study(small_study(compare_world, tmp_path / "study", **once)).jobs
    job.folder.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=serve_jobs, args=(theirs, 1, None))
    worker.start()
    theirs.close()
    ours.send(job)
    deadline = time.monotonic() + 300
    while not read_metrics(job.folder / "metrics.jsonl"):
        assert worker.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if ended_by == "the study is gone":
        ours.close()
    else:
        worker.terminate()
    worker.join(300)
    assert worker.exitcode == 128 + signal.SIGTERM
    assert list((job.folder / "state").iterdir())


def test_other_settings_in_the_same_folder_are_refused(compare_world, one_by_one):
    out = one_by_one[0].out
    with pytest.raises(ConfigError, match=r"another optim\.lr"):
        open_study(small_study(compare_world, out, set={"optim.lr": 1e-4}))


def test_other_measures_are_made_anew_and_nothing_is_trained(compare_world, tmp_path):
    once = {"samples": [4], "seeds": [0], "rows": {"a": str(compare_world / "recipe.yaml")}}
    study = open_study(small_study(compare_world, tmp_path / "study", **once))
    study.out.mkdir()
    run_job(study.jobs[0], ignore_progress)
    stamp = (study.jobs[0].folder / "metrics.jsonl").stat().st_mtime_ns
    fewer = {"measures": {"caption_nll": {"scenes": 2}}}
    again = open_study(small_study(compare_world, tmp_path / "study", **once, measure=fewer))
    assert again.jobs[0].measures() is None
    assert run_job(again.jobs[0], ignore_progress)["caption_nll"]["results"]["a"]["n"] == 2
    assert (study.jobs[0].folder / "metrics.jsonl").stat().st_mtime_ns == stamp


def test_a_held_out_picture_in_training_is_found_before_any_job(compare_world, tmp_path):
    samples = tiny_samples(6)
    write_dataset(samples, tmp_path / "data")
    write_dataset(samples[:2], tmp_path / "data", split="test")
    settings = {"data": str(tmp_path / "data"), "samples": [4]}
    study = open_study(small_study(compare_world, tmp_path / "study", **settings))
    with pytest.raises(DataError, match="held out, and in a training scene"):
        study.run(ignore_progress)
    assert not (study.out / "runs").exists()


def test_a_model_that_cannot_be_loaded_is_found_before_any_job(compare_world, tmp_path):
    recipe = str(compare_world / "recipe.yaml")
    rows = {"a": recipe, "b": {"config": recipe, "set": {"model.language.path": "/no/such"}}}
    study = open_study(small_study(compare_world, tmp_path / "study", rows=rows))
    with pytest.raises(ConfigError, match=r"rows\.b: language\.path"):
        study.run(ignore_progress)
    assert not (study.out / "runs").exists()
