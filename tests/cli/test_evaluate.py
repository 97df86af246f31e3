"""`diglot evaluate` on tiny checkpoints; every printed figure is computed again by hand."""

import csv
import json
import re
from pathlib import Path

import pytest

from diglot.cli.evaluate_run import name_checkpoints
from diglot.core.errors import ConfigError
from diglot.evaluate.answers import Answers
from diglot.evaluate.benchmark import open_benchmark
from diglot.report.results import join_results, read_result
from diglot.select.table import read_table
from tests.cli.test_measure import save_checkpoint
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world
from tests.train.outcome import rows, write_rows

TASKS = "presence,counting,position,region_naming,referring,description"
SMALL = "{description: {max_tokens: 8}, referring: {max_tokens: 8}, presence: {length: pmi}}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluated")
    save_world(root)
    for seed in (0, 1):
        save_checkpoint(root, root / f"run{seed}", seed)
    return root


def evaluate(world: Path, *more: str, tasks: str = TASKS, out: str = "eval") -> int:
    runs = [str(world / "run0"), str(world / "run1")]
    data = ["--data", str(world / "data"), "--out", str(world / out)]
    options = ["--options", SMALL] if tasks == TASKS else []
    return run_diglot("evaluate", *runs, "--tasks", tasks, *data, *options, *more)


@pytest.fixture(scope="module")
def record(world: Path) -> dict:
    path = world / "results.json"
    into = world / "scores.csv"
    into.write_text("setting,A,C\nother,1.5,0.25\nrun1,2,0.5\n")
    assert evaluate(world, "--json", str(path), "--into", str(into)) == 0
    return json.loads(path.read_text())


def answered(world: Path, weights: str) -> list[dict]:
    path = world / "eval" / "answers" / f"{weights[:16]}.jsonl"
    return list(Answers(path).by_key.values())


def value(record: dict, key: str, run: str) -> float:
    (measure,) = [m for m in record["measures"] if m["key"] == key]
    return measure["results"][run]["value"]


def joined(world: Path, record: dict, number: int) -> list[tuple]:
    """(item, way, answer) of one checkpoint, put together from the files alone."""
    from diglot.evaluate.ask import AskSettings, answer_key
    from diglot.evaluate.task import load_tasks

    options = {k: {**v} for k, v in record["settings"]["tasks"].items()}
    tasks = {one.key: one for one in load_tasks(list(options), options)}
    path = world / "eval" / "answers" / f"{record['weights'].split(', ')[number][:16]}.jsonl"
    kept = Answers(path).by_key
    found = []
    for item in open_benchmark(world / "eval" / "benchmark").items:
        for way in ("likelihood", "generate"):
            key = answer_key(item, tasks[item.task], way, AskSettings())
            if key in kept:
                found.append((item, way, kept[key]))
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_every_figure_follows_from_the_logged_answers(world, record, number):
    run = f"run{number}"
    rows = joined(world, record, number)

    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    def chosen(task, score):
        """Accuracy of the best candidate; ties share."""
        credits = []
        for item, way, answer in rows:
            if (item.task, way) == (task, "likelihood"):
                scores = [score(answer, i) for i in range(len(item.candidates))]
                top = [i for i, s in enumerate(scores) if s == max(scores)]
                credits.append(mean(item.right[i] for i in top))
        return mean(credits)

    def by_sum(answer, i):
        return answer["log_prob"][i]

    def by_mean(answer, i):
        return answer["log_prob"][i] / answer["tokens"][i]

    def by_pmi(answer, i):
        return answer["log_prob"][i] - answer["prior"][i]

    how = {"counting": by_sum, "position": by_sum, "referring": by_sum, "region_naming": by_mean}
    how |= {"presence": by_pmi, "description": by_pmi}
    by_task = {task: chosen(task, score) for task, score in how.items()}
    for task, want in by_task.items():
        assert value(record, f"{task}.likelihood", run) == pytest.approx(want)
    assert value(record, "average.likelihood", run) == pytest.approx(mean(by_task.values()))

    of_presence = [(i, a) for i, way, a in rows if (i.task, way) == ("presence", "likelihood")]
    leaning = [(by_pmi(a, 0) - by_pmi(a, 1), i.answer) for i, a in of_presence]
    area = mean(
        1.0 if s > t else 0.5 if s == t else 0.0
        for s, yes in leaning
        for t, no in leaning
        if (yes, no) == ("Yes", "No")
    )
    assert value(record, "presence.likelihood.auc", run) == pytest.approx(area)

    def written(task, score):
        return mean(
            score(item, a["text"])
            for item, way, a in rows
            if (item.task, way) == (task, "generate")
        )

    def first(item, text):
        at = {
            m.start(): c
            for c in sorted(item.candidates, key=len)
            if (m := re.search(rf"\b{re.escape(c)}\b", text, re.IGNORECASE))
        }
        return bool(at) and at[min(at)] == item.answer

    def number_right(item, text):
        m = re.search(r"\b\d+\b", text)
        return bool(m) and m.group() == item.answer

    def overlap(item, text):
        m = re.search(r"[\[(]" + ",".join([r"\s*(-?[\d.]+)\s*"] * 4), text)
        if not m:
            return 0.0
        a, b = [float(g) for g in m.groups()], item.truth["box"]
        w, h = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
        areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
        return w * h / (sum(areas) - w * h)

    for task in ("presence", "position", "region_naming"):
        assert value(record, f"{task}.generate", run) == pytest.approx(written(task, first))
    assert value(record, "counting.generate", run) == pytest.approx(
        written("counting", number_right)
    )
    assert value(record, "referring.generate.mean_iou", run) == pytest.approx(
        written("referring", overlap)
    )
    assert value(record, "description.generate.recall", run) == pytest.approx(
        written(
            "description",
            lambda i, t: mean(
                bool(re.search(rf"\b{n}(e?s)?\b", t.lower())) for n in i.truth["names"]
            ),
        )
    )


def test_the_csv_and_the_table_of_settings_hold_the_same_figures(world, record):
    with open(world / "eval" / "results.csv", newline="") as file:
        rows = {(row["key"], row["checkpoint"]): row for row in csv.DictReader(file)}
    for measure in record["measures"]:
        for run, result in measure["results"].items():
            assert float(rows[measure["key"], run]["value"]) == pytest.approx(result["value"])
    table = read_table(world / "scores.csv")
    assert table.settings == ("other", "run1", "run0")
    column = table.column("average.likelihood")
    assert column[1] == pytest.approx(value(record, "average.likelihood", "run1"))
    assert table.column("A")[:2].tolist() == [1.5, 2]
    assert table.cells["average.likelihood"][0] == ""


def test_pairs_are_differences_of_the_same_items(world, record):
    for pair in record["pairs"]:
        values = [value(record, pair["key"], run) for run in ("run0", "run1")]
        assert pair["difference"]["value"] == pytest.approx(values[0] - values[1])
        assert 0 < pair["p"] <= 1
    assert len(record["pairs"]) == len(record["measures"]) - 2  # averages are no item's


def test_what_is_answered_is_not_asked_again(world, record, monkeypatch, capsys):
    import diglot.evaluate.run as run

    def refuse(*_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(run, "open_checkpoint", refuse)
    path = world / "again.json"
    assert evaluate(world, "--json", str(path)) == 0
    again = json.loads(path.read_text())
    assert again["measures"] == record["measures"]
    assert "Average of all" in " ".join(capsys.readouterr().out.split())


def test_a_killed_run_resumes_to_the_same_figures(world, record):
    for path in (world / "eval" / "answers").glob("*.jsonl"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    out = world / "resumed.json"
    assert evaluate(world, "--json", str(out)) == 0
    assert json.loads(out.read_text())["measures"] == record["measures"]


def test_the_report_verb_reads_the_results(world, record, tmp_path):
    join_results([read_result(world / "results.json")], title="t", command="c")
    page = tmp_path / "page.html"
    assert run_diglot("report", world / "results.json", "--out", page) == 0
    assert "Referring expressions" in page.read_text()


def test_a_task_of_ones_own(world, tmp_path):
    path = tmp_path / "own.json"
    args = ("--json", str(path), "--ask.template", "false")
    assert evaluate(world, *args, tasks="examples.own_task", out="own") == 0
    record = json.loads(path.read_text())
    assert [m["key"] for m in record["measures"]] == [
        "examples.own_task.likelihood",
        "examples.own_task.generate",
    ]
    assert record["measures"][0]["results"]["run0"]["n"] == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tasks", "nothing"], "no part 'nothing'"),
        (["--labels", "a,a"], "names of their own"),
        (["--options", "{colour: {}}"], "not chosen"),
        (["--seed", "-1"], "seed: must be at least 0"),
    ],
)
def test_mistakes_are_one_line(world, more, message, capsys):
    args = ["evaluate", str(world / "run0"), "--data", str(world / "data")]
    args += ["--out", str(world / "bad"), "--tasks", "counting"]
    assert run_diglot(*args, *more) == 2
    assert message in capsys.readouterr().err


def test_checkpoints_in_folders_alike_take_the_name_of_the_folder_above() -> None:
    apart = [Path("runs/a/sft/model"), Path("runs/b")]
    assert name_checkpoints(apart, None) == ["sft", "b"]
    alike = [Path("runs/a/sft/model"), Path("runs/b/sft")]
    assert name_checkpoints(alike, None) == ["a-sft", "b-sft"]
    assert name_checkpoints(alike, "A, B") == ["A", "B"]
    of_study = [Path("runs/caption/256-0/sft/model"), Path("runs/mmcs/256-0/sft/model")]
    assert name_checkpoints(of_study, None) == ["caption-256-0-sft", "mmcs-256-0-sft"]
    with pytest.raises(ConfigError, match=r"names of their own.*sft, sft"):
        name_checkpoints([Path("runs/a/sft/model"), Path("runs/a/sft")], None)


def test_rejected_scenes_are_counted_on_the_terminal_and_in_the_record(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payloads = rows(6)
    payloads[1]["images"] = [{"bytes": b"junk"}]
    payloads[5]["id"] = payloads[0]["id"]
    data, path = write_rows(tmp_path / "bad", payloads), tmp_path / "r.json"
    words = ["evaluate", world / "run0", "--data", data, "--split", "train", "--json", path]
    assert run_diglot(*words, "--out", tmp_path / "out", "--tasks", "counting") == 0
    shown, listed = capsys.readouterr().out, tmp_path / "out" / "rejected.jsonl"
    assert json.loads(path.read_text())["rejected"] == {"not a picture": 1, "repeated id": 1}
    for reason in ("not a picture", "repeated id"):
        assert f"1 records rejected, {listed}: {reason}" in shown
