"""`diglot select`: the examples of its help run, and what they write is whole."""

import json

import pytest

from diglot.select.paper_data import paper_law
from tests.cli_runner import run_diglot

LAW = paper_law()


def run(*args):
    return run_diglot("select", *args)


@pytest.fixture
def scores(tmp_path):
    lines = ["setting,A,C,mmbench"]
    for k, name in enumerate(LAW.settings):
        result = LAW.results_BK[0, k] if k < 8 else ""
        lines.append(f"{name},{LAW.scores_K2[k, 0]},{LAW.scores_K2[k, 1]},{result}")
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("columns", ["[A, C]", "[A]", "A,C", "A"])
def test_fit_prints_baselines_and_writes_plot_and_json(scores, tmp_path, capsys, columns):
    plot, out = tmp_path / "law.png", tmp_path / "fit.json"
    run("fit", scores, "--results", "mmbench", "--columns", columns, "--plot", plot, "--json", out)
    printed = capsys.readouterr().out
    assert "random scores (expected)" in printed
    assert "warning:" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")
    content = json.loads(out.read_text(encoding="utf-8"))
    assert set(content["fits"]) == ({"A, C", "A alone", "C alone"} if "C" in columns else {"A"})
    assert not list(tmp_path.glob(".*.part"))


def test_plan_says_what_is_next(scores, tmp_path, capsys):
    out = tmp_path / "plan.json"
    run("plan", scores, "--results", "mmbench", "--budget", 12, "--stop_below", 0, "--json", out)
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["next"] in LAW.settings[8:]
    assert f"fine-tune next: {content['next']}" in capsys.readouterr().out
    assert len(content["ranking"]) == 15


def test_paper_writes_figures_and_results(tmp_path, capsys):
    out = tmp_path / "results.json"
    more = tmp_path / "details.json"
    run("paper", "--runs", 3, "--out", tmp_path / "out", "--json", out, "--details", more)
    drawn = sorted(path.name for path in (tmp_path / "out").glob("[!.]*"))
    assert drawn == [f"figure_{n}.{kind}" for n in (10, 2, 5) for kind in ("png", "svg")]
    assert set(json.loads(out.read_text(encoding="utf-8"))) == {"fits", "recall"}
    assert "new_settings" in json.loads(more.read_text(encoding="utf-8"))
    assert "94.08" in capsys.readouterr().out


def test_mistakes_are_one_message(scores, tmp_path, capsys):
    bad_plot = tmp_path / "law.xyz"
    assert run("fit", scores, "--results", "mmbench", "--plot", bad_plot) == 2
    assert run("paper", "--runs", 0) == 2
    assert run("plan", tmp_path / "none.csv", "--results", "y", "--budget", 3) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expected .png, .svg or .pdf; got .xyz" in said
    assert "runs: must be above 0; got 0" in said
    assert "no such file or folder: not there" in said


MISTAKES = {
    "seed: must be at least 0": [
        ("paper", "--seed", -1),
        ("plan", "scores.csv", "--results", "mmbench", "--budget", 3, "--seed", -1),
        ("c-score", "--pairs", ".", "--seed", -1),
    ],
    "column 'A' is named twice; got A, C, A": [
        ("fit", "scores.csv", "--results", "mmbench", "--columns", "A,C,A"),
        ("plan", "scores.csv", "--results", "mmbench", "--budget", 3, "--columns", "[A, C, A]"),
    ],
    "--columns: the results are among the columns they are fitted on; got mmbench": [
        ("fit", "scores.csv", "--results", "mmbench", "--columns", "A,mmbench")
    ],
    "the header is a single cell": [("fit", "semicolons.csv", "--results", "mmbench")],
    "scores.csv/a.png: no file can be written here": [
        ("fit", "scores.csv", "--results", "mmbench", "--plot", "scores.csv/a.png")
    ],
    "the scores are the same for every setting": [
        ("plan", "alike.csv", "--results", "R", "--budget", 3)
    ],
    "--settings: no recipe 'select/embeded_settings'": [
        ("a-score", "--data", ".", "--out", "o", "--settings", "select/embeded_settings")
    ],
    "--recipe: no recipe 'embedded/captoin'": [
        (
            *("a-score", "--data", ".", "--out", "o", "--recipe", "embedded/captoin"),
            *("--settings", "select/embedded_settings"),
        )
    ],
}


@pytest.mark.parametrize("message", MISTAKES)
def test_each_mistake_is_named(scores, monkeypatch, capsys, message):
    monkeypatch.chdir(scores.parent)
    (scores.parent / "semicolons.csv").write_text(scores.read_text("utf-8").replace(",", ";"))
    (scores.parent / "alike.csv").write_text("setting,A,C,R\na,1,2,3\nb,1,2,\nc,1,2,\n")
    for args in MISTAKES[message]:
        assert run(*args) == 2
        complaint = capsys.readouterr().err
        assert message in complaint
        assert "Traceback" not in complaint


def test_help_shows_examples(capsys):
    for verb in ("paper", "fit", "plan"):
        assert run(verb, "--help") == 0
        assert f"diglot select {verb}" in capsys.readouterr().out
