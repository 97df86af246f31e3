"""The bridge to lmms-eval: names, averages as printed in the papers, local tasks, a real run."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from diglot.core.errors import ConfigError, DataError
from diglot.core.paper_tables import MMCS, group_means, plain_mean
from diglot.evaluate.answers import Answers
from diglot.evaluate.benchmark import make_benchmark
from diglot.evaluate.lmms.bridge import LmmsTasks, list_measures
from diglot.evaluate.lmms.figures import FIGURES, figures_of
from diglot.evaluate.lmms.launch import skip_empty_media
from diglot.evaluate.lmms.local_tasks import write_local_tasks
from diglot.evaluate.lmms.run import (
    LAUNCH,
    LmmsSettings,
    build_command,
    check_installed,
    read_results,
)
from diglot.evaluate.task import load_tasks
from diglot.models.checkpoint import save_vlm
from diglot.models.config import EncoderPart, ProjectorPart
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig, build_vlm
from tests.cli_runner import run_diglot
from tests.tiny import tiny_sample
from tests.tiny_folders import save_world

PYTHON = os.environ.get("DIGLOT_LMMS_PYTHON", "build/lmms/bin/python")
NEEDS_LMMS = pytest.mark.skipif(not Path(PYTHON).exists(), reason="no environment with lmms-eval")

# MMCS Tables 1 to 3, Qwen2.5-3B with SigLIP2: columns in the order of MMCS, and the printed mean.
PRINTED = {
    "Caption": {
        "General": ([67.53, 60.36, 40.60, 42.77, 35.64, 60.22], 51.19),
        "Perception": ([66.13, 56.52, 61.26, 44.70, 55.29, 58.29, 48.17], 55.77),
        "Grounding": ([61.68, 65.00, 54.64, 56.62, 63.88, 47.49, 62.39, 61.27], 59.12),
        "All": 55.36,
    },
    "MMCS": {
        "General": ([68.56, 62.75, 40.90, 43.98, 33.30, 61.57], 51.84),
        "Perception": ([68.72, 57.36, 66.87, 47.60, 56.99, 59.35, 50.79], 58.24),
        "Grounding": ([75.18, 80.66, 68.75, 65.49, 74.35, 56.23, 71.31, 70.32], 70.29),
        "All": 60.12,
    },
}


@pytest.mark.parametrize("method", PRINTED)
def test_the_papers_averages_follow_from_its_columns(method):
    rows = PRINTED[method]
    columns = {
        name: value
        for group, names in MMCS.items()
        for name, value in zip(names, rows[group][0], strict=True)
    }
    means = group_means(columns)
    for group in MMCS:
        assert means[group] == pytest.approx(rows[group][1], abs=0.0101)
    # Perception is what Table 4 prints; Table 2 prints 55.20 and 57.46, no mean of its columns
    printed = plain_mean([rows[group][1] for group in MMCS])
    assert printed == pytest.approx(rows["All"], abs=0.0051)


def test_an_average_needs_all_its_columns():
    columns = dict.fromkeys(MMCS["General"], 50.0)
    assert group_means(columns) == {
        "General": 50,
        "Perception": None,
        "Grounding": None,
        "All": None,
    }
    assert plain_mean([]) is None


def test_figures_become_per_cent():
    by_task = {figure.task: figure for figure in FIGURES}
    mme = {"mme_perception_score": 1500.0, "mme_cognition_score": 180.0}
    assert by_task["mme"].value(mme) == pytest.approx(60)
    assert by_task["refcoco_bbox_rec_val"].value({"refcoco_ACC@0.5": 0.5}) == 50
    with pytest.raises(DataError, match="no value of 'exact_match'"):
        by_task["gqa"].value({})
    assert [figure.task for figure in figures_of(("grounding",))] == [
        *(f"refcoco_bbox_rec_{split}" for split in ("val", "testA", "testB")),
        *(f"refcoco+_bbox_rec_{split}" for split in ("val", "testA", "testB")),
        *(f"refcocog_bbox_rec_{split}" for split in ("val", "test")),
    ]


def test_measures_of_results(tmp_path):
    path = tmp_path / "x_results.json"
    results = {
        figure.task: {f"{metric},none": 0.5, f"{metric}_stderr,none": "N/A"}
        for figure in figures_of(("grounding",))
        for metric in figure.metrics
    }
    counts = {task: {"original": 9, "effective": 4} for task in results}
    path.write_text(json.dumps({"results": results, "n-samples": counts}))
    tasks = LmmsTasks(figures=tuple(figures_of(("grounding",))))
    measures = {m.title: m for m in list_measures(read_results(path), tasks)}
    assert measures["RefCOCO testA"].estimate.value == 50
    assert measures["RefCOCO testA"].estimate.n == 4
    assert measures["Grounding, average"].estimate.value == 50
    assert "All, average" not in measures


def test_empty_media_never_reach_a_stock_processor():
    class Stock:
        def __call__(self, **kwargs):
            return sorted(kwargs)

    processor = skip_empty_media(Stock())
    assert processor(text=["a"], images=["picture"], videos=[], audios=[]) == ["images", "text"]
    assert processor(text=[], padding=False, audios=["a sound"]) == ["audios", "padding", "text"]
    assert isinstance(processor, Stock)
    assert type(processor).__name__ == "Stock"  # it is saved by name


def test_the_command(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    settings = LmmsSettings(python="py", limit=8, args=["--seed", "1"])
    command = build_command(tmp_path, ["gqa", "pope"], tmp_path / "out", settings)
    assert command[:5] == ["py", "-m", "lmms_eval", "--model", "llava_hf"]
    assert command[command.index("--tasks") + 1] == "gqa,pope"
    assert command[-4:] == ["--limit", "8", "--seed", "1"]
    (tmp_path / "config.json").write_text('{"model_type": "aya_vision"}')
    command = build_command(tmp_path, ["gqa"], tmp_path, settings)
    assert command[1:5] == [str(LAUNCH), "float32", "--model", "huggingface"]
    assert command[command.index("--model_args") + 1].endswith(",device_map=cpu")
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match="diglot export"):
        build_command(tmp_path, ["gqa"], tmp_path, settings)


def test_what_is_missing_is_said(tmp_path, capsys):
    with pytest.raises(ConfigError, match="pip install lmms_eval"):
        check_installed(LmmsSettings(python=str(tmp_path / "no_python")))
    assert run_diglot("evaluate", tmp_path, "--tasks", "mmvet", "--out", tmp_path / "o") == 2
    assert "--lmms.grader_url" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def local(tmp_path):
    tasks = load_tasks(["offline"], {"colour": {"ways": ["likelihood"]}})
    scenes = [tiny_sample(i, objects=3, size_hw=(48, 64)) for i in range(6)]
    benchmark = make_benchmark(tmp_path / "b", tasks, scenes, data="", seed=0)
    names = write_local_tasks(benchmark, tasks, tmp_path / "tasks")
    return benchmark, tasks, tmp_path / "tasks", names


def test_local_tasks_score_as_ours_without_us(local):
    benchmark, tasks, folder, names = local
    assert "diglot_colour" not in names  # asked by likelihood alone
    text = (folder / "utils.py").read_text()
    assert "diglot" not in "".join(line for line in text.splitlines() if "import" in line)
    spec = importlib.util.spec_from_file_location("written_utils", folder / "utils.py")
    assert spec
    assert spec.loader
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    for chosen in tasks:
        if "generate" not in chosen.task.asked.ways:
            continue
        import pyarrow.parquet as pq

        rows = pq.read_table(folder / f"diglot_{chosen.key}.parquet").to_pylist()
        items = benchmark.of_task(chosen.key)
        assert len(rows) == len(items)
        answers = [f"Maybe {item.answer}, not {items[0].answer}." for item in items]
        want = chosen.task.score(items, answers)
        got = [utils.process_results(row, [a]) for row, a in zip(rows, answers, strict=True)]
        for metric, values in want.items():
            assert [one[metric] for one in got] == values
        assert utils.doc_to_text(rows[0]) == items[0].question
        assert utils.doc_to_visual(rows[0])[0].size == (64, 48)
        loader = type("Loader", (yaml.SafeLoader,), {})
        loader.add_constructor("!function", lambda _, node: node.value)
        settings = yaml.load((folder / f"diglot_{chosen.key}.yaml").read_text(), loader)
        assert [one["metric"] for one in settings["metric_list"]] == list(want)
        assert settings["process_results"] == "utils.process_results"


ANSWERS = [
    "[0.1, 0.2, 0.6, 0.9]",
    "it is at [0, 0, 1, 1].",
    "(0.1, 0.2, 0.6, 0.9)",
    "[0.6, 0.9, 0.1, 0.2]",
    "[.1, .2, .6, .9]",
    "[0.15, 0.2, 0.6, 0.8] or [0.1, 0.2, 0.6, 0.9]",
    "nothing",
]
THEIRS = """
import json, sys
from lmms_eval.tasks import TaskManager
from lmms_eval.tasks.refcoco import utils_rec
from lmms_eval.tasks.refcoco.utils_rec import compute_accuracy, compute_iou
answers, box, tasks = json.load(sys.stdin)
read = [utils_rec.parse_float_sequence_within(a) for a in answers]
known = set(TaskManager().all_tasks)
print(json.dumps({
    "iou": [compute_iou(box, r) for r in read],
    "right": [bool(compute_accuracy(box, r)) for r in read],
    "unknown": [t for t in tasks if t not in known],
}))
"""


@NEEDS_LMMS
@pytest.mark.slow
def test_scorers_agree_with_lmms_evals_own_and_its_names_are_ours():
    from diglot.evaluate.scoring import score_box

    box = [0.1, 0.2, 0.6, 0.9]
    given = json.dumps([ANSWERS, box, [figure.task for figure in FIGURES]])
    made = subprocess.run(
        [PYTHON, "-c", THEIRS],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    theirs = json.loads(made.stdout.strip().splitlines()[-1])
    ours = [score_box(answer, {"truth": {"box": box}}) for answer in ANSWERS]
    assert [one["mean IoU"] for one in ours] == pytest.approx(theirs["iou"])
    assert [bool(one["accuracy"]) for one in ours] == theirs["right"]
    assert theirs["unknown"] == []


# lmms-eval's own class of a family, and its general one
PROJECTORS = {
    "llava": {"hidden": 32, "activation": "gelu"},
    "aya_vision": {"hidden": 32, "activation": "silu", "unshuffle": 2, "input_norm": True},
}


@pytest.fixture(params=PROJECTORS)
def exported(tmp_path, request):
    save_world(tmp_path)
    config = VLMConfig(
        encoder=EncoderPart("clip", {"path": str(tmp_path / "clip")}),
        projector=ProjectorPart("mlp", PROJECTORS[request.param]),
        language=LanguageConfig(path=str(tmp_path / "language")),
    )
    save_vlm(build_vlm(config, seed=0), config, tmp_path / "m", parts=("projector",))
    out = tmp_path / "exported"
    assert run_diglot("export", tmp_path / "m", "--to", request.param, "--out", out) == 0
    return out


@NEEDS_LMMS
@pytest.mark.slow
def test_a_stock_checkpoint_gets_the_same_figures_from_lmms_eval(exported, tmp_path):
    tasks = "counting,referring,description"
    options = "{description: {max_tokens: 12}, referring: {max_tokens: 12}}"
    args = ["evaluate", str(exported), "--tasks", tasks, "--data", str(tmp_path / "data")]
    args += ["--out", str(tmp_path / "eval"), "--options", options]
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    assert run_diglot(*args, "--json", ours) == 0
    lmms = ["--harness", "lmms", "--lmms.python", PYTHON, "--json", str(theirs)]
    assert run_diglot(*args, *lmms) == 0
    one = {m["key"]: m["results"]["exported"] for m in json.loads(ours.read_text())["measures"]}
    two = {m["key"]: m["results"]["exported"] for m in json.loads(theirs.read_text())["measures"]}
    pairs = {
        "counting.generate": "lmms.diglot_counting.accuracy",
        "referring.generate.mean_iou": "lmms.diglot_referring.mean_iou",
        "description.generate.recall": "lmms.diglot_description.recall",
        "description.generate": "lmms.diglot_description.f1",
    }
    for mine, other in pairs.items():
        assert 100 * one[mine]["value"] == pytest.approx(two[other]["value"])
        assert one[mine]["n"] == two[other]["n"]
    # the answers themselves, word by word
    kept = Answers(next((tmp_path / "eval" / "answers").glob("*.jsonl"))).by_key
    mine = {answer["text"] for answer in kept.values() if "text" in answer}
    logs = (tmp_path / "eval" / "lmms").rglob("*samples_diglot_counting.jsonl")
    theirs = [json.loads(line)["filtered_resps"] for log in logs for line in log.open()]
    assert theirs
    assert {text.strip() for text in theirs} <= mine
