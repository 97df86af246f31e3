"""`diglot evaluate`: whole checkpoints on tasks, with intervals, tests and every answer."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.evaluate_run import Questions, make_plan, run_plan
from diglot.cli.progress import show_progress
from diglot.config.paths import OutFile
from diglot.core.rng import check_seed
from diglot.evaluate.ask import AskSettings
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.lmms.run import LmmsSettings
from diglot.evaluate.page_data import list_questions
from diglot.evaluate.run import Evaluated
from diglot.evaluate.tables import write_csv
from diglot.files import write_json
from diglot.report.answers_page import write_answers_page
from diglot.report.checkpoint_curve import write_checkpoint_curve
from diglot.report.thumbnails import jpeg_uri
from diglot.select.add_columns import add_columns
from diglot.synth.scenes.config import ScenesConfig

# Scenes on which every offline task finds something to ask.
_SCENES = ScenesConfig(
    objects=(3, 5),
    object_px=(84, 150),
    repeat_probability=0.4,
    size_probability=0.3,
    colour_probability=0.6,
)
_ASK = AskSettings()
_LMMS = LmmsSettings()


def add_arguments(parser: ArgumentParser) -> None:
    """Any number of checkpoints, then the options."""
    parser.add_argument(
        "checkpoints",
        nargs="+",
        type=Path,
        help="Run folders, model folders, or stock vision-language checkpoints.",
    )
    parser.add_function_arguments(evaluate, as_group=False, skip={"checkpoints"})


def evaluate(
    checkpoints: list[Path],
    *,
    out: Path,
    tasks: str = "offline",
    options: dict[str, Any] | None = None,
    data: Path | None = None,
    split: str = "test",
    count: int = 64,
    scene: ScenesConfig = _SCENES,
    labels: str | None = None,
    ask: AskSettings = _ASK,
    harness: Literal["diglot", "lmms"] = "diglot",
    lmms: LmmsSettings = _LMMS,
    into: OutFile | None = None,
    curve: OutFile | None = None,
    pictures: int = 64,
    seed: int = 0,
    json: OutFile | None = None,
) -> None:
    """Evaluate checkpoints on tasks: scores with intervals, paired tests, and every answer.

    Questions are made once and kept in --out, with their pictures; answers are kept there too, by
    the checkpoint's weights, so a run that was stopped resumes, and another checkpoint is asked the
    same. Composed scenes have exact truth; with --data the regions must name all there is.

    Examples:
        diglot evaluate runs/caption runs/mmcs --out eval --json eval/results.json
        diglot evaluate runs/mmcs --tasks counting,position --data data/scenes --out eval
        diglot evaluate runs/mmcs --out eval --options '{presence: {limit: 50, length: pmi}}'
        diglot evaluate runs/a/model runs/b/model --tasks multiple_choice --out language \\
            --options '{multiple_choice: {path: mmlu.json}}' --labels step-0,step-100 \\
            --curve language.png
        diglot evaluate exported/mmcs --tasks grounding,gqa --out eval \\
            --lmms.python lmms/bin/python --lmms.device cuda

    Args:
        checkpoints: Run folders, model folders, or stock vision-language checkpoints.
        out: Folder of the questions, the answers, results.csv and answers.html.
        tasks: Tasks and groups with commas between. offline stands for referring, presence,
            counting, colour, position, region_naming and description. multiple_choice (from a file
            as MMLU's) and captioning (METEOR, ROUGE-L, CIDEr) are further ones, a task of your own
            is named by its dotted path. grounding, perception, general and captions, or a task of
            these by its name in lmms-eval, are run by lmms-eval on a checkpoint of stock
            transformers.
        options: Settings by task: {counting: {limit: 50, ways: [generate]}}.
        data: A dataset of scenes whose regions name all that they show; composed where left out.
        split: Of the data, or of the scenes to compose: test, or test_names and test_combinations
            with what scene.held_out_names and scene.held_out_pair_share hold out of training.
        count: Scenes: so many are composed, or the first so many of the data are taken.
        scene: How scenes are composed.
        labels: Names of the checkpoints in tables, with commas between; their folders' if left out.
        ask: How questions are put.
        harness: What asks our own tasks: diglot, or lmms-eval with local tasks in OUT/lmms_tasks
            (written answers alone).
        lmms: How lmms-eval is run.
        into: A CSV file of `diglot select`: each checkpoint's row gets its scores as columns.
        curve: Also draw the scores over the checkpoints in the order given (.png, .svg, .pdf).
        pictures: Pictures on the page of answers.
        seed: Of the questions, the scenes and the intervals.
        json: Also write the results to this file, which `diglot report` reads.
    """
    began = time.perf_counter()
    check_seed(seed)
    plan = make_plan(checkpoints, labels, tasks, options or {}, lmms, local=harness == "lmms")
    questions = Questions(data=data, split=split, count=count, scene=scene, seed=seed)
    console = Console()
    with show_progress() as report:
        done = run_plan(plan, questions, ask, lmms, out, report)
    record = {**done.record, "seconds": round(time.perf_counter() - began, 2)}
    write_csv(out / "results.csv", record["measures"])
    if json:
        write_json(json, record)
    if into:
        add_columns(into, _columns(record))
    if curve:
        write_checkpoint_curve(record, curve)
    console.print(_table(record))
    for pair in (pair for pair in record["pairs"] if pair["key"].count(".") == 1):
        console.print(_pair_line(pair), markup=False, highlight=False)
    if done.benchmark and done.evaluated:
        data_of_page = _page(record, done.benchmark, done.evaluated, pictures)
        page = write_answers_page(data_of_page, out / "answers.html")
        console.print(f"every answer: {page}", markup=False)


def _page(
    record: dict[str, Any], benchmark: Benchmark, evaluated: Sequence[Evaluated], pictures: int
) -> dict[str, Any]:
    shown = [
        {"picture": None if image is None else jpeg_uri(image, max_px=384), "questions": questions}
        for image, questions in list_questions(benchmark, evaluated, pictures=pictures)
    ]
    heads = ("runs", "created", "data", "measures", "pairs")
    return {"title": "Answers", **{name: record[name] for name in heads}, "pictures": shown}


def _columns(record: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By checkpoint the value of every metric that was measured."""
    return {
        run: {
            measure["key"]: measure["results"][run]["value"]
            for measure in record["measures"]
            if measure["results"].get(run, {}).get("value") is not None
        }
        for run in record["runs"]
    }


def _table(record: dict[str, Any]) -> Table:
    table = Table("metric", *record["runs"], "chance", "n", title=record["data"])
    for entry in record["measures"]:
        results = [entry["results"].get(run) for run in record["runs"]]
        chance = entry["chance"]
        table.add_row(
            entry["title"],
            *(_score(result) for result in results),
            "" if chance is None else f"{chance:.3f}",
            str(max((result["n"] for result in results if result), default=0)),
        )
    return table


def _score(result: dict[str, Any] | None) -> str:
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
