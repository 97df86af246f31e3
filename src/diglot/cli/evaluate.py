"""`diglot evaluate`: whole checkpoints on tasks, with intervals, tests and every answer."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot import __version__
from diglot.cli.progress import show_progress
from diglot.cli.scenes import embedded_backgrounds, embedded_pools
from diglot.core.errors import ConfigError
from diglot.core.rng import check_seed
from diglot.core.types import Sample
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.data.samples import usable_samples
from diglot.evaluate.ask import AskSettings
from diglot.evaluate.benchmark import Benchmark, make_benchmark
from diglot.evaluate.page_data import list_questions
from diglot.evaluate.run import Evaluated, compare_pairs, evaluate_checkpoint, list_measures
from diglot.evaluate.tables import write_csv
from diglot.evaluate.task import ChosenTask, load_tasks
from diglot.files import write_json
from diglot.measure.checkpoint import checkpoint_folder
from diglot.report.answers_page import write_answers_page
from diglot.report.thumbnails import jpeg_uri
from diglot.select.add_columns import add_columns
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.write import write_scenes
from diglot.train.run_folder import environment

# Scenes on which every offline task finds something to ask.
_SCENES = ScenesConfig(
    objects=(3, 5),
    object_px=(84, 150),
    repeat_probability=0.4,
    size_probability=0.3,
    colour_probability=0.6,
)
_ASK = AskSettings()


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
    into: Path | None = None,
    pictures: int = 64,
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """Evaluate checkpoints on tasks: scores with intervals, paired tests, and every answer.

    Questions are made once and kept in --out, with their pictures; answers are kept there too, by
    the checkpoint's weights, so a run that was stopped resumes, and another checkpoint is asked the
    same. Composed scenes have exact truth; with --data the regions must name all there is.

    Examples:
        diglot evaluate runs/caption runs/mmcs --out eval --json eval/results.json
        diglot evaluate runs/mmcs --tasks counting,position --data data/scenes --out eval
        diglot evaluate runs/mmcs --out eval --options '{presence: {limit: 50, length: pmi}}'

    Args:
        checkpoints: Run folders, model folders, or stock vision-language checkpoints.
        out: Folder of the questions, the answers, results.csv and answers.html.
        tasks: Tasks and groups with commas between. offline stands for referring, presence,
            counting, colour, position, region_naming and description; a task of your own is named
            by its dotted path.
        options: Settings by task: {counting: {limit: 50, ways: [generate]}}.
        data: A dataset of scenes whose regions name all that they show; composed where left out.
        split: Of the data, or of the scenes to compose: test, or test_names and test_combinations
            with what scene.held_out_names and scene.held_out_pair_share hold out of training.
        count: Scenes: so many are composed, or the first so many of the data are taken.
        scene: How scenes are composed.
        labels: Names of the checkpoints in tables, with commas between; their folders' if left out.
        ask: How questions are put.
        into: A CSV file of `diglot select`: each checkpoint's row gets its scores as columns.
        pictures: Pictures on the page of answers.
        seed: Of the questions, the scenes and the intervals.
        json: Also write the results to this file, which `diglot report` reads.
    """
    began = time.perf_counter()
    check_seed(seed)
    folders = [checkpoint_folder(path) for path in checkpoints]
    names = _labels(checkpoints, labels)
    chosen = load_tasks([name.strip() for name in tasks.split(",") if name.strip()], options or {})
    console = Console()
    with show_progress() as report:
        dataset = None
        if any(one.task.needs_scenes for one in chosen):
            dataset = open_dataset(data, split) if data else None
            if dataset is None:
                dataset = _compose(out / "scenes", split, count, scene, seed, report)
        benchmark = _benchmark(out, chosen, dataset, count, seed)
        evaluated = [
            evaluate_checkpoint(folder, name, benchmark, chosen, ask, out / "answers", report)
            for folder, name in zip(folders, names, strict=True)
        ]
    record = _record(evaluated, benchmark, chosen, ask, data, split, seed)
    record["seconds"] = round(time.perf_counter() - began, 2)
    write_csv(out / "results.csv", record["measures"])
    page = write_answers_page(_page(record, benchmark, evaluated, pictures), out / "answers.html")
    if json:
        write_json(json, record)
    if into:
        add_columns(into, _columns(record))
    console.print(_table(record))
    for pair in (pair for pair in record["pairs"] if pair["key"].count(".") == 1):
        console.print(_pair_line(pair), markup=False, highlight=False)
    console.print(f"every answer: {page}", markup=False)


def _labels(checkpoints: Sequence[Path], labels: str | None) -> list[str]:
    """One name for each checkpoint, all different. Raises ConfigError."""
    if labels is None:
        names = [_name(path.resolve()) for path in checkpoints]
    else:
        names = [name.strip() for name in labels.split(",")]
    if len(names) != len(checkpoints) or len(set(names)) < len(names) or not all(names):
        raise ConfigError(
            "checkpoints need names of their own",
            expected=f"{len(checkpoints)} different names",
            got=", ".join(names),
            where="--labels",
        )
    return names


def _name(path: Path) -> str:
    return path.parent.name if path.name == "model" else path.name


def _compose(
    folder: Path, split: str, count: int, scene: ScenesConfig, seed: int, report: Any
) -> Dataset:
    photos = embedded_backgrounds() if scene.texture_share < 1 else []
    maker = SceneMaker(embedded_pools(), scene, split=split, seed=seed, photos=photos)
    write_scenes(maker, folder, count, report=report)
    return open_dataset(folder, split)


def _benchmark(
    out: Path, chosen: Sequence[ChosenTask], dataset: Dataset | None, count: int, seed: int
) -> Benchmark:
    """The benchmark of the first scenes that can be used; the others are noted."""
    scenes: list[Sample] = []
    if dataset is not None:
        rejected = Rejected(out / "rejected.jsonl")
        first = range(min(count, len(dataset)))
        usable = usable_samples(dataset, lambda sample: sample, rejected.note, indices=first)
        scenes = [sample for _, sample in usable if len(sample.images) == 1]
    digest = f"{dataset.fingerprint}, first {count}" if dataset else ""
    return make_benchmark(out / "benchmark", chosen, scenes, data=digest, seed=seed)


def _record(
    evaluated: Sequence[Evaluated],
    benchmark: Benchmark,
    chosen: Sequence[ChosenTask],
    ask: AskSettings,
    data: Path | None,
    split: str,
    seed: int,
) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "evaluation",
        "runs": [one.label for one in evaluated],
        "data": f"{data.name if data else 'composed scenes'}, {split}",
        "weights": ", ".join(one.digest for one in evaluated),
        "fingerprints": [benchmark.digest],
        "seed": seed,
        "settings": {"tasks": {one.key: one.settings for one in chosen}, "ask": asdict(ask)},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {"diglot": __version__, **environment()},
        "measures": list_measures(evaluated, seed=seed),
        "pairs": compare_pairs(evaluated, seed=seed),
        "examples": [],
    }


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
    return f"{result['value']:.3f} ({result['low']:.3f} to {result['high']:.3f})"


def _pair_line(pair: dict[str, Any]) -> str:
    one = pair["difference"]
    return (
        f"{pair['key']}: {pair['first']} less {pair['second']} {one['value']:+.3f} "
        f"({one['low']:+.3f} to {one['high']:+.3f}), p {pair['p']:.3g}"
    )
