"""`diglot compare` from its arguments to its last line."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_runner import run_diglot
from tests.studies.compare.small_study import study_settings, write_recipe
from tests.tiny_folders import save_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folders, recipe.yaml, and study.yaml: two rows, one size, one seed."""
    world = save_world(tmp_path_factory.mktemp("world"))
    write_recipe(world)
    settings = study_settings(world, world / "unused", samples=[4], seeds=[0])
    del settings["out"]
    (world / "study.yaml").write_text(json.dumps(settings))
    return world


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("diglot")
    handlers, level = list(root.handlers), ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


def run(world: Path, out: Path, *args: str) -> int:
    return run_diglot("compare", "--config", f"{world}/study.yaml", f"--out={out}", *args)


def labels(results: dict) -> list[str]:
    return list(results["rows"])


def test_two_files_run_to_the_end_and_again_at_once(world, tmp_path, capsys):
    (tmp_path / "one_row.yaml").write_text("title: Alone\nrows: {mmcs: null}\n")
    args = ["--config", f"{tmp_path}/one_row.yaml", f"--json={tmp_path}/new/found.json"]
    out = tmp_path / "study"
    assert run(world, out, *args, "--jobs=1") == 0
    shown = capsys.readouterr()
    lines = [
        "runs      1 of 1 done",
        f"figures   {out}/results.json",
        f"page      {out}/report.html",
    ]
    assert shown.out.splitlines() == lines
    assert "caption, 4 samples, seed 0" in shown.err
    results = json.loads((tmp_path / "new" / "found.json").read_text())
    assert json.loads((out / "results.json").read_text()) == results
    assert (results["title"], labels(results)) == ("Alone", ["caption"])
    assert results["jobs"][0]["scores"]["caption_nll"]["n"] > 0
    assert "<h1><bdi>Alone</bdi></h1>" in (out / "report.html").read_text()
    measures = out / "runs" / "caption" / "4-0" / "measures.json"
    stamp = measures.stat().st_mtime_ns
    assert run(world, out, *args) == 0
    assert capsys.readouterr().out == shown.out
    assert run_diglot("compare", "--config", f"{out}/compare.yaml") == 0  # as the page has it
    assert capsys.readouterr().out == shown.out
    assert measures.stat().st_mtime_ns == stamp

    (out / "report.html").unlink()
    assert run(world, out, "--report_only", f"--json={tmp_path}/now.json") == 0
    assert capsys.readouterr().out.splitlines()[0] == "runs      1 of 2 done"
    now = json.loads((tmp_path / "now.json").read_text())
    assert [job["state"] for job in now["jobs"]] == ["done", "waiting"]
    assert "unfinished" in (out / "report.html").read_text()


def test_a_failed_run_is_counted_and_the_reason_stands_in_the_page(world, tmp_path, capsys):
    diverging = {"optim.lr": 1e9, "optim.weight_decay": 1e9, "epochs": 3}
    rows = {"diverges": {"config": f"{world}/recipe.yaml", "set": diverging}}
    changes = {"rows": {"caption": None, "mmcs": None} | rows, "set": {"optim.clip": 0}}
    (tmp_path / "changes.yaml").write_text(json.dumps(changes))
    out = tmp_path / "study"
    assert run(world, out, f"--config={tmp_path}/changes.yaml") == 2
    shown = capsys.readouterr()
    complaints = " ".join(shown.err.split())
    assert "error: diverges, 4 samples, seed 0: 1 of 1 runs failed; the first: " in complaints
    assert shown.out.splitlines()[0] == "runs      0 of 1 done, 1 failed"
    assert "loss is not finite" in (out / "report.html").read_text()


def row(**fields: object) -> str:
    return "--rows=" + json.dumps({"a": {"config": "{recipe}", **fields}})


SEA = {"plus.token_contrastive.weight": 1.0}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        # rows
        ([row(config="embedded/captoin")], "rows.a: --config: no recipe 'embedded/captoin'"),
        ([row(sett={})], "rows.a: not a row; expected a recipe, a list of recipes, or"),
        (['--rows={"a": 3}'], "rows.a: not a row"),
        (["--rows=[a, b]"], "rows: expected"),
        ([row(set={"optim.lrr": 1})], "rows.a: unknown field 'optim.lrr' (did you mean 'optim.lr'"),
        ([row(set={"optim.lr": "much"})], "rows.a: optim.lr: expected number above 0, got much"),
        ([row(set={"optim": 3})], "rows.a: optim: expected fields; got 3"),
        ([row(set={"objective": "captoin"})], "rows.a: objective: no part 'captoin'"),
        ([row(set={"objective": {"name": "caption", "x": 1}})], "objective: unknown field 'x'"),
        ([row(set={"seed": 3})], "rows.a.set.seed: the same for all rows. Give the comparison's"),
        (['--set={"max_samples": 3}'], "set.max_samples: the same for all rows"),
        (['--set={"optim.lrr": 1}'], "rows.caption: unknown field 'optim.lrr'"),
        (['--rows={"a/b": "{recipe}"}'], "no slash, no dot or blank at its ends; got 'a/b'"),
        (['--rows={"": "{recipe}"}'], "rows: not a label"),
        (['--rows={"A": "{recipe}", "a": "{recipe}"}'], "differ in more than capital letters"),
        (['--rows={"caption": null, "mmcs": null}'], "rows: nothing to compare"),
        ([row(set=SEA)], "rows.a: labels: token_contrastive learns from labels of patches"),
        ([row(set=SEA | {"labels": "/no/such"})], "Make them: diglot label"),
        ([row(set={"model.language.path": "/no/such"})], "rows.a: language.path"),
        ([row(set={"start_from": "/no/such"})], "rows.a: /no/such: no checkpoint here"),
        (
            [row(set={"start_language": "/no/such"})],
            "start_language: cannot load '/no/such': no such",
        ),
        # the rest of the comparison
        (["--sampels=[4]"], "unknown argument '--sampels' (did you mean 'samples'?)"),
        (["--measure.regions=4"], "unknown argument '--measure.regions'"),
        (["--samples=[4,5000]"], "samples: not so many samples; expected at most the 20"),
        (["--samples=4"], "samples: expected a list in brackets, got 4"),
        (["--samples=[0]"], "samples: cannot be used; expected numbers of at least 1"),
        (
            ["--seeds=[1,1]"],
            "seeds: cannot be used; expected numbers of at least 0, none of them t",
        ),
        (["--seeds=[]"], "seeds: no seed"),
        (["--jobs=0"], "jobs: expected whole number above 0"),
        (["--data=/no/such"], "/no/such: no such dataset folder"),
        (["--split=nosuch"], "no split 'nosuch'; expected one of: test, train"),
        (["--held_out=nosuch"], "no split 'nosuch'"),
        (["--held_out=train"], "held_out: the split that is trained on; got train"),
        (["--baseline=mmsc"], "baseline: no such row; expected one of caption, mmcs; got mmsc"),
        (["--out=/dev/null/x"], "/dev/null/x"),
        (["--report_only"], "no study was begun here"),
        # files
        (["--config=/no/such.yaml"], "no recipe '/no/such.yaml'"),
        (["--config={folder}/list.yaml"], "list.yaml: not a recipe; expected field: value lines"),
        (["--config={folder}/broken.yaml"], "broken.yaml: not valid YAML"),
        (["--config={folder}/unknown.yaml"], "unknown field 'sampels' (did you mean 'samples'?)"),
        (["--config=embedded/caption"], "is a row: {rows: {LABEL: embedded/caption}}"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_trained(world, tmp_path, capsys, args, message):
    for name, text in {"list": "- a\n", "broken": "a: [1", "unknown": "sampels: [4]"}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    recipe = f"{world}/recipe.yaml"
    args = [arg.replace("{recipe}", recipe).replace("{folder}", str(tmp_path)) for arg in args]
    assert run(world, tmp_path / "study", *args) == 2
    shown = capsys.readouterr()
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert shown.err.rstrip("\n").endswith(errors[0])
    assert message in errors[0]
    assert "Traceback" not in shown.err
    assert not shown.out
    assert not (tmp_path / "study" / "runs").exists()


def test_a_file_may_name_rows_by_numbers_and_titles_by_dates(world, tmp_path):
    recipe = "title: 2026-01-31\nrows: {1: RECIPE, 0.5: RECIPE, caption: null, mmcs: null}\n"
    (tmp_path / "numbers.yaml").write_text(recipe.replace("RECIPE", f"{world}/recipe.yaml"))
    out = tmp_path / "study"
    out.mkdir()
    assert run(world, out, f"--config={tmp_path}/numbers.yaml", "--report_only") == 0
    results = json.loads((out / "results.json").read_text())
    assert (results["title"], labels(results)) == ("2026-01-31", ["1", "0.5"])
    rows = json.dumps({"x": f"{world}/recipe.yaml"}).replace('"x"', "2")
    assert run(world, out, f"--rows={rows}", "--report_only") == 0
    assert labels(json.loads((out / "results.json").read_text())) == ["2"]


def test_data_and_out_must_be_given(capsys):
    assert run_diglot("compare", "--config=compare/objectives", "--out=x") == 2
    assert "data" in capsys.readouterr().err
    assert run_diglot("compare", "--config=compare/objectives", "--data=x") == 2
    assert "out" in capsys.readouterr().err
