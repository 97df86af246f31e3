"""What `diglot evaluate` asks, writes and prints; this loads the model libraries."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from diglot.cli.console import open_console, print_rejected
from diglot.cli.evaluate_run import make_plan, run_plan
from diglot.cli.kept_checkpoints import list_kept
from diglot.cli.progress import show_progress
from diglot.config.paths import AddedFile, OutFile, OutJson
from diglot.core.seals import seal_record
from diglot.data.rejected import REJECTED
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.config import AskSettings, LmmsSettings
from diglot.evaluate.page_data import list_questions
from diglot.evaluate.question_scenes import Questions, SceneKind
from diglot.evaluate.run import Evaluated
from diglot.evaluate.tables import write_csv
from diglot.files import claim_folder, write_json
from diglot.report.answers_page import write_answers_page
from diglot.report.checkpoint_curve import write_checkpoint_curve
from diglot.report.thumbnails import jpeg_uri
from diglot.select.add_columns import add_columns
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.text_scenes.config import TextScenesConfig


def run_evaluate(
    *,
    checkpoints: list[Path],
    out: Path,
    tasks: str,
    options: dict[str, Any] | None,
    data: Path | None,
    split: str,
    count: int,
    scene: ScenesConfig,
    kind: SceneKind,
    text: TextScenesConfig,
    labels: str | None,
    kept: bool,
    ask: AskSettings,
    harness: Literal["diglot", "lmms"],
    lmms: LmmsSettings,
    into: AddedFile | None,
    curve: OutFile | None,
    pictures: int,
    seed: int,
    json: OutJson | None,
) -> None:
    """Evaluate checkpoints on tasks: scores with intervals, paired tests, and every answer."""
    began = time.perf_counter()
    if kept:
        checkpoints, labels = list_kept(checkpoints, labels)
    plan = make_plan(checkpoints, labels, tasks, options or {}, lmms, local=harness == "lmms")
    questions = Questions(
        data=data, split=split, count=count, scene=scene, seed=seed, kind=kind, text=text
    )
    claim_folder(out, "evaluate", known=("benchmark", "answers", "results.csv"))
    with show_progress() as report:
        done = run_plan(plan, questions, ask, lmms, out, report)
    record = {**done.record, "seconds": round(time.perf_counter() - began, 2)}
    write_csv(out / "results.csv", record["measures"])
    _write_files(record, json, into, curve)
    console = open_console()
    console.print(_make_table(record))
    print_rejected(console, record["rejected"], out / REJECTED)
    for pair in (pair for pair in record["pairs"] if pair["key"].count(".") == 1):
        console.print(_pair_line(pair), highlight=False)
    if done.benchmark and done.evaluated:
        data_of_page = _collect_page(record, done.benchmark, done.evaluated, pictures)
        page = write_answers_page(data_of_page, out / "answers.html")
        console.print(f"every answer: {page}")


def _write_files(
    record: dict[str, Any], json: OutJson | None, into: AddedFile | None, curve: OutFile | None
) -> None:
    """The files that were asked for: the record, its columns in a table, its curve over steps."""
    if json:
        write_json(json, seal_record(record))
    if into:
        add_columns(into, _collect_columns(record))
    if curve:
        write_checkpoint_curve(record, curve)


def _collect_page(
    record: dict[str, Any], benchmark: Benchmark, evaluated: Sequence[Evaluated], pictures: int
) -> dict[str, Any]:
    shown = [
        {"picture": None if image is None else jpeg_uri(image, max_px=384), "questions": questions}
        for image, questions in list_questions(benchmark, evaluated, pictures=pictures)
    ]
    heads = ("runs", "created", "data", "measures", "pairs")
    return {"title": "Answers", **{name: record[name] for name in heads}, "pictures": shown}


def _collect_columns(record: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By checkpoint the value of every metric that was measured."""
    return {
        run: {
            measure["key"]: measure["results"][run]["value"]
            for measure in record["measures"]
            if measure["results"].get(run, {}).get("value") is not None
        }
        for run in record["runs"]
    }


def _make_table(record: dict[str, Any]) -> Table:
    table = Table("metric", *record["runs"], "chance", "n", title=record["data"])
    for entry in record["measures"]:
        results = [entry["results"].get(run) for run in record["runs"]]
        chance = entry["chance"]
        table.add_row(
            entry["title"],
            *(_format_score(result) for result in results),
            "" if chance is None else f"{chance:.3f}",
            str(max((result["n"] for result in results if result), default=0)),
        )
    return table


def _format_score(result: dict[str, Any] | None) -> str:
    if result is None or result["value"] is None:
        return "not measured"
    if result["low"] is None:  # lmms-eval's, in per cent
        return f"{result['value']:.2f}"
    return f"{result['value']:.3f} ({result['low']:.3f} to {result['high']:.3f})"


def _pair_line(pair: dict[str, Any]) -> str:
    one = pair["difference"]
    return (
        f"{pair['key']}: {pair['first']} less {pair['second']} {one['value']:+.3f} "
        f"({one['low']:+.3f} to {one['high']:+.3f}), p {pair['p']:.3g}"
    )
