"""Chains of stages in a comparison: pretraining or none, the same fine-tuning, questions."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from diglot.core.errors import ConfigError, DiglotError
from diglot.core.progress import ignore_progress
from diglot.evaluate.answers import Answers
from diglot.models.checkpoint import LORA_WEIGHTS
from diglot.models.trainable import Trainable
from diglot.studies.compare.chain_config import EvaluationConfig, FineTuningConfig
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.job import run_job
from diglot.studies.compare.rows import read_rows
from diglot.studies.compare.study import open_study
from diglot.train.loop import train
from tests.damage import flip
from tests.studies.compare.small_study import small_study


def chain_study(world: Path, chain_data: Path, out: Path, **changes: Any) -> CompareConfig:
    """Caption and no pretraining at all, each fine-tuned and asked about presence."""
    recipe = str(world / "recipe.yaml")
    settings: dict[str, Any] = {
        "rows": {"caption": recipe, "untrained": {"config": recipe, "pretrain": False}},
        "samples": [8, 4],
        "seeds": [0],
        "sft": FineTuningConfig(
            data=str(chain_data / "questions"), config=str(chain_data / "sft.yaml")
        ),
        "evaluate": EvaluationConfig(
            tasks=["presence"], data=str(chain_data / "scenes"), split="test", count=6
        ),
    }
    return small_study(world, out, **settings | changes)


@pytest.fixture(scope="module")
def chained(compare_world: Path, chain_data: Path, tmp_path_factory: Any) -> Any:
    """Every job of the study of chains, in this process: its folder and results."""
    out = tmp_path_factory.mktemp("chained") / "study"
    study = open_study(chain_study(compare_world, chain_data, out))
    study.out.mkdir()
    for job in study.jobs:
        assert job.questions
        job.questions.prepare(ignore_progress)
        run_job(job, ignore_progress)
    return study, study.write()


@pytest.mark.slow
@pytest.mark.parametrize("row", ["caption", "untrained"])
def test_a_damaged_model_of_a_chain_is_made_again_or_named(
    compare_world: Path, chain_data: Path, chained: Any, row: str
) -> None:
    study, _ = chained
    folder = next(job.folder for job in study.jobs if job.row == row)
    damaged = [path for path in sorted(folder.rglob("model/*")) if path.is_file()]
    assert len({path.parent for path in damaged}) == 2  # of both stages
    for path in damaged:
        whole = path.read_bytes()
        path.write_bytes(flip(whole, len(whole) // 2))
        refusal = run_again(chain_study(compare_world, chain_data, study.out), folder)
        if refusal:
            assert str(path.parent) in refusal
            assert path.name in refusal
            path.write_bytes(whole)
        assert path.read_bytes() == whole, f"{path} is silently other"


def run_again(config: CompareConfig, folder: Path) -> str:
    """Open a study and run the job in `folder` if it is not done; what refused it, if anything."""
    try:
        job = next(job for job in open_study(config).jobs if job.folder == folder)
        if job.measures() is None:
            run_job(job, ignore_progress)
    except DiglotError as error:
        return str(error)
    return ""


def test_a_row_without_pretraining_is_one_chain_of_no_samples(chained: Any) -> None:
    study, results = chained
    states = {(job["row"], job["samples"]): job["state"] for job in results["jobs"]}
    assert states == dict.fromkeys([("caption", 4), ("caption", 8), ("untrained", 0)], "done")
    untrained = next(job for job in study.jobs if not job.pretrain)
    assert not (untrained.folder / "metrics.jsonl").exists()  # no step was made
    assert results["samples"] == [4, 8]
    page = (study.out / "report.html").read_text()
    for text in ("before SFT", "after SFT", "untrained"):
        assert text in page


def test_a_printed_score_is_that_of_the_logged_answers(chained: Any) -> None:
    """By hand: of each question's candidates the one of the highest log-probability."""
    study, results = chained
    job = next(job for job in study.jobs if job.samples == 8)
    lines = (study.out / "evaluation" / "benchmark" / "items.jsonl").read_text().splitlines()
    items = [json.loads(line) for line in lines]
    (path,) = (Path(job.last.out) / "answers").glob("*.jsonl")
    answers = Answers(path).by_key.values()
    right = []
    for item, answer in zip(items, answers, strict=True):  # asked in the order of the items
        scored = zip(answer["log_prob"], item["candidates"], strict=True)
        right.append(max(scored)[1] == item["answer"])
    entry = next(e for e in results["jobs"] if (e["row"], e["samples"]) == ("caption", 8))
    score = entry["scores"]["presence.likelihood"]
    assert (score["value"], score["n"]) == (pytest.approx(sum(right) / len(right)), len(items))


def test_alignment_is_measured_before_and_after(chained: Any) -> None:
    _, results = chained
    for job in results["jobs"]:
        before, after = (job["scores"][k]["value"] for k in ("caption_nll", "sft.caption_nll"))
        assert before != after
        assert job["cost"]["sft_seconds"] > 0


def test_an_ended_chain_is_not_done_again_and_a_cut_one_is_finished(
    chained: Any, compare_world: Path, chain_data: Path
) -> None:
    study, results = chained
    again = open_study(chain_study(compare_world, chain_data, study.out))
    assert all(job.measures() is not None for job in again.jobs)
    job = again.jobs[0]
    (Path(job.last.out) / "evaluation.json").unlink()  # killed before the scores were written
    stamp = (Path(job.last.out) / "metrics.jsonl").stat().st_mtime_ns
    assert again.jobs[0].measures() is None
    run_job(job, ignore_progress)
    assert (Path(job.last.out) / "metrics.jsonl").stat().st_mtime_ns == stamp
    assert again.write()["table"] == results["table"]


def test_a_mark_of_the_end_that_is_gone_is_made_again(
    chained: Any, compare_world: Path, chain_data: Path
) -> None:
    study, _ = chained
    for job in study.jobs:
        stages = [job.folder] * job.pretrain + [Path(job.last.out)]
        for mark in [folder / "finished.json" for folder in stages]:
            whole = mark.read_bytes()
            mark.unlink()
            assert run_again(chain_study(compare_world, chain_data, study.out), job.folder) == ""
            assert mark.read_bytes() == whole


def test_every_row_is_fine_tuned_on_the_same_with_what_it_adds(
    compare_world: Path, chain_data: Path, tmp_path: Path
) -> None:
    recipe = str(compare_world / "recipe.yaml")
    rows = {
        "plain": recipe,
        "kept": {"config": recipe, "sft": {"plus.patch_aligned.weight": 0.5}},
    }
    plain, kept = read_rows(chain_study(compare_world, chain_data, tmp_path, rows=rows))
    assert plain.second
    assert kept.second
    assert plain.second.sources == kept.second.sources
    assert not plain.second.plus
    assert kept.second.plus["patch_aligned"]["weight"] == 0.5
    assert plain.second.model == plain.stage.model


def test_what_the_study_sets_for_all_rows_is_refused_in_one(
    compare_world: Path, chain_data: Path, tmp_path: Path
) -> None:
    recipe = str(compare_world / "recipe.yaml")
    rows = {"own": {"config": recipe, "sft": {"data": "elsewhere"}}}
    with pytest.raises(ConfigError, match=r"rows\.own\.sft\.data"):
        read_rows(chain_study(compare_world, chain_data, tmp_path, rows=rows))
    rows = {"own": {"config": recipe, "sft": {"optim.lr": 1}}}
    alone = chain_study(compare_world, chain_data, tmp_path, rows=rows, sft=None)
    with pytest.raises(ConfigError, match="there is no second stage"):
        read_rows(alone)
    for taught in ({"trainable.language": True}, {"start_language": "elsewhere"}):
        own = {"config": recipe, "set": taught, "sft": {"start_language": "elsewhere"}}
        with pytest.raises(ConfigError, match=r"sft\.start_language: the first stage has"):
            read_rows(chain_study(compare_world, chain_data, tmp_path, rows={"own": own}))


def test_only_may_leave_the_baseline_out_and_the_first_row_takes_its_part(
    compare_world: Path, chain_data: Path, tmp_path: Path
) -> None:
    part = {"only": ["untrained"], "baseline": "caption"}
    study = open_study(chain_study(compare_world, chain_data, tmp_path, **part))
    assert study.write()["baseline"] == "untrained"
    unknown = chain_study(compare_world, chain_data, tmp_path, baseline="nobody")
    with pytest.raises(ConfigError, match="no such row"):
        read_rows(unknown)


def test_every_row_takes_what_a_language_model_learned_elsewhere(
    compare_world: Path, chain_data: Path, tmp_path: Path
) -> None:
    plain = chain_study(compare_world, chain_data, tmp_path / "study", evaluate=None)
    stage = read_rows(plain)[0].second
    assert stage
    assert plain.sft
    taught = train(replace(stage, out=str(tmp_path / "words")))
    whole = train(replace(stage, out=str(tmp_path / "all"), trainable=Trainable(language=True)))
    still = {"start_language": str(taught), "optim.lr": 1e-12}
    rows = {name: row for name, row in plain.rows.items() if name == "caption"}
    rows["whole"] = {"config": rows["caption"], "sft": {"start_language": str(whole)}}
    study = open_study(replace(plain, rows=rows, sft=replace(plain.sft, set=still)))
    job = study.jobs[0]
    run_job(job, ignore_progress)
    before, after = (load_file(m / LORA_WEIGHTS) for m in (taught, Path(job.last.out) / "model"))
    assert any(value.any() for name, value in before.items() if "lora_B" in name)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
