"""`diglot measure` and `diglot report` on tiny checkpoints, from the command line to the page."""

import json
from pathlib import Path

import numpy as np
import pytest

from diglot.models.checkpoint import save_vlm
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig, build_vlm
from diglot.report.results import read_result
from tests.cli_runner import refusal_of, run_diglot
from tests.tiny_folders import save_world
from tests.train.outcome import rows, write_rows

FEW = (
    "{regions: {scenes: 2}, localisation: {scenes: 4}, caption_nll: {scenes: 4},"
    " embedding: {scenes: 4, pursuit_scenes: 1}, layers: {scenes: 4, k: 2}, attention: {scenes: 2}}"
)


def save_checkpoint(world: Path, folder: Path, seed: int) -> Path:
    """A checkpoint whose projector is random, of this seed."""
    config = VLMConfig(
        encoder={"name": "clip", "path": str(world / "clip")},
        projector={"name": "mlp", "hidden": 24},
        language=LanguageConfig(path=str(world / "language")),
    )
    save_vlm(build_vlm(config, seed=seed), config, folder / "model", parts=("projector",))
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("measured")
    save_world(root)
    for seed in (0, 1):
        save_checkpoint(root, root / f"run{seed}", seed)
    return root


def measure(world: Path, run: str, out: Path, *more: str) -> int:
    args = ["measure", str(world / run), "--data", str(world / "data"), "--json", str(out)]
    options = ["--measure.measures", FEW, "--measure.bootstrap_draws", "20"]
    options += ["--examples", "2", "--points", "6"]
    return run_diglot(*args, *options, *more)


@pytest.fixture(scope="module")
def results(world: Path) -> list[Path]:
    paths = [world / f"{run}.json" for run in ("run0", "run1")]
    assert measure(world, "run0", paths[0], "--random_projector", "true") == 0
    assert measure(world, "run1", paths[1], "--train_split", "train") == 0
    return paths


def test_the_record_holds_every_measure_with_its_options(results: list[Path]) -> None:
    record = json.loads(results[0].read_text())
    assert record["runs"] == ["run0", "run0, random projector"]
    keys = {entry["key"] for entry in record["measures"]}
    wanted = {"region_matching", "iou", "caption_nll", "entropy_drop", "align", "cka", "mir"}
    assert {*wanted, "attention_pointing", "tacs", "modality_gap"} <= keys
    for entry in record["measures"]:
        assert set(entry["results"]) == set(record["runs"])
        assert entry["options"]
    iou = next(entry for entry in record["measures"] if entry["key"] == "iou")
    assert iou["results"]["run0"]["value"] is None  # without a training split
    assert record["settings"]["measures"]["layers"]["k"] == 2
    both = {"run0", "run0, random projector"}
    for name in ("token_maps", "token_details"):
        assert [example[name].keys() for example in record["examples"]] == [both] * 2
    assert record["scatter"].keys() == both
    details = record["examples"][0]["token_details"]["run0"]
    tokens = len(record["examples"][0]["token_maps"]["run0"]["boxes"])
    assert len(details["words"]) == len(details["subtokens"]) == tokens
    cosines = [near[1] for near in details["subtokens"][0]]
    assert cosines == sorted(cosines, reverse=True)
    left = np.array(details["pursuit"]["left"])
    assert left.shape[1] == tokens
    assert (np.diff(left, axis=0) <= 0).all()
    names = {region["label"] for region in record["examples"][0]["regions"]}
    assert {mask["name"] for mask in details["masks"]} <= names
    assert details["attention"]


def test_the_same_again_is_read_and_other_weights_or_settings_are_measured(
    world: Path, results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results[1].read_bytes()
    assert measure(world, "run1", results[1], "--train_split", "train") == 0
    assert "measured already" in capsys.readouterr().out
    assert results[1].read_bytes() == before
    copy = tmp_path / "run.json"
    copy.write_bytes(before)
    (world / "other").mkdir(exist_ok=True)
    save_checkpoint(world, world / "other" / "run1", seed=7)  # the same name, other weights
    assert measure(world, "other/run1", copy, "--train_split", "train", "--overwrite") == 0
    assert "measured already" not in capsys.readouterr().out
    assert json.loads(copy.read_text())["key"] != json.loads(before)["key"]
    assert measure(world, "other/run1", copy, "--train_split", "train", "--seed", "1") == 0
    assert "measured already" not in capsys.readouterr().out


def test_report_compares_them(world: Path, results: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run_diglot("report", *results, "--out", page) == 0
    text = page.read_text()
    for word in ("run0, random projector", "Align(V, W)", "CKA by layer", "By layer", "Entropy"):
        assert word in text
    assert "different data" in text  # one with a training split, one without
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_mistakes(
    world: Path, results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = str(tmp_path / "page.html")
    assert run_diglot("report", results[0], results[0], "--out", page) == 2
    assert "two runs are called 'run0'" in capsys.readouterr().err
    (tmp_path / "bad.json").write_text('{"format": 1}')
    assert run_diglot("report", tmp_path / "bad.json", "--out", page) == 2
    assert "not a result of `diglot measure`" in capsys.readouterr().err
    assert measure(world, "data", tmp_path / "x.json") == 2
    assert "no checkpoint here" in capsys.readouterr().err
    assert measure(world, "run0", tmp_path / "x.json", "--measure.measures", "{what: {}}") == 2
    assert "no part 'what'" in capsys.readouterr().err
    assert read_result(results[0]).runs[0] == "run0"


def damage_records(folder: Path) -> Path:
    """A dataset with a picture that is none, a corrupt mask and a cut picture."""
    payloads = rows(8)
    payloads[1]["images"] = [{"bytes": b"junk"}]
    payloads[2]["regions"][0]["mask"]["counts"] = "0@"
    content = payloads[4]["images"][0]["bytes"]
    payloads[4]["images"] = [{"bytes": content[: len(content) // 2]}]
    return write_rows(folder, payloads)


REASONS = {"not a picture": 1, "mask runs are corrupt": 1, "picture cannot be read": 1}


@pytest.mark.parametrize(
    "chosen", ["{localisation: {scenes: 8}}", "{regions: {scenes: 4}}", "{attention: {scenes: 4}}"]
)
def test_bad_records_are_rejected_counted_and_listed(
    world: Path, tmp_path: Path, chosen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = damage_records(tmp_path / "bad"), tmp_path / "m.json"
    options = ["--split", "train", "--measure.measures", chosen, "--examples", "8", "--points", "4"]
    words = ["measure", world / "run0", "--json", out, *options]
    assert run_diglot(*words, "--data", data) == 0
    listed = tmp_path / "m.rejected.jsonl"
    assert json.loads(out.read_text())["rejected"] == REASONS
    shown = capsys.readouterr().out
    for reason in REASONS:
        assert f"1 records rejected, {listed}: {reason}" in shown
    lines = [json.loads(line) for line in listed.read_text().splitlines()]
    assert {(one["id"], one["where"]) for one in lines} == {
        ("tiny/1", "sample 'tiny/1', images[0]"),
        ("tiny/2", "sample 'tiny/2', regions[0].mask"),
        ("tiny/4", "sample 'tiny/4', images[0]"),
    }
    assert run_diglot(*words, "--data", data) == 0  # kept: printed again
    assert f"1 records rejected, {listed}: not a picture" in capsys.readouterr().out
    assert run_diglot(*words, "--data", world / "data") == 0  # other data: the list is begun anew
    assert "records rejected" not in capsys.readouterr().out
    assert not listed.exists()
    assert json.loads(out.read_text())["rejected"] == {}


def test_records_that_are_all_rejected_are_named_with_their_list(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payloads = rows(2)
    for payload in payloads:
        payload["images"] = [{"bytes": b"junk"}]
    data, out = write_rows(tmp_path / "data", payloads), tmp_path / "m.json"
    words = ["measure", world / "run0", "--data", data, "--split", "train", "--json", out]
    message = refusal_of(capsys, *words)
    assert f"{data}, train: no record could be used: all are rejected" in message
    assert f"{tmp_path}/m.rejected.jsonl" in message
