"""`diglot evaluate`: whole checkpoints on tasks, with intervals, tests and every answer."""

from typing import Any, Literal

from jsonargparse import ArgumentParser

from diglot.cli.unread import TEXT_UNREAD, Unread
from diglot.config.part_help import add_part_help
from diglot.config.paths import AddedFile, InCheckpoint, InData, OutFigure, OutFolder, OutJson
from diglot.config.ranges import NonNegativeInt, PositiveInt, Seed
from diglot.evaluate.config import TASK_SCENES, TASK_TEXTS, AskSettings, LmmsSettings, TaskPart
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.text_scenes.config import TextScenesConfig

_ASK = AskSettings()

_LMMS = LmmsSettings()
UNREAD = (
    Unread(
        options=("scene", "kind", "text"),
        beside="--data, whose scenes are there",
        holds=lambda values: values["data"] is not None,
    ),
    Unread(
        options=("text",),
        beside="--kind objects",
        holds=lambda values: values["kind"] == "objects",
    ),
    Unread(
        options=("scene",),
        beside="--kind words or charts",
        holds=lambda values: values["kind"] != "objects",
    ),
    *TEXT_UNREAD,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Any number of checkpoints, then the options."""
    parser.add_argument(
        "checkpoints",
        nargs="+",
        type=InCheckpoint,
        help="Run folders, model folders, or stock vision-language checkpoints.",
    )
    parser.add_function_arguments(evaluate, as_group=False, skip={"checkpoints"})
    add_part_help(parser, "tasks", TaskPart, under="options.{name}")


def evaluate(
    checkpoints: list[InCheckpoint],
    *,
    out: OutFolder,
    tasks: str = "offline",
    options: dict[str, Any] | None = None,
    data: InData | None = None,
    split: str = "test",
    count: PositiveInt = 64,
    scene: ScenesConfig = TASK_SCENES,
    kind: Literal["objects", "words", "charts"] = "objects",
    text: TextScenesConfig = TASK_TEXTS,
    labels: str | None = None,
    kept: bool = False,
    ask: AskSettings = _ASK,
    harness: Literal["diglot", "lmms"] = "diglot",
    lmms: LmmsSettings = _LMMS,
    into: AddedFile | None = None,
    curve: OutFigure | None = None,
    pictures: NonNegativeInt = 64,
    seed: Seed = 0,
    json: OutJson | None = None,
) -> None:
    """Evaluate checkpoints on tasks: scores with intervals, paired tests, and every answer.

    Questions are made once and kept in --out, with their pictures; answers are kept there too, by
    the checkpoint's weights, so a run that was stopped resumes, and another checkpoint is asked the
    same. Composed scenes have exact truth; with --data the regions must name all there is.

    Examples:
        diglot evaluate runs/caption runs/mmcs --out eval --json eval/results.json
        diglot evaluate runs/mmcs --tasks counting,position --data data/scenes --out eval
        diglot evaluate runs/mmcs --kind charts --tasks charts --out eval_charts
        diglot evaluate runs/mmcs --out eval --options '{presence: {limit: 50, length: pmi}}'
        diglot evaluate runs/sft --kept true --tasks multiple_choice --out language \\
            --options '{multiple_choice: {path: mmlu.json}}' --curve language.png
        diglot evaluate exported/mmcs --tasks grounding,gqa --out eval \\
            --lmms.python lmms/bin/python --lmms.device cuda

    Args:
        checkpoints: Run folders, model folders, or stock vision-language checkpoints.
        out: Folder of the questions, the answers, results.csv and answers.html.
        tasks: Tasks and groups with commas between. offline stands for referring, presence,
            counting, colour, position, region_naming and description; words and charts for those
            that pages of words and charts answer, reading and chart_values too. multiple_choice
            (from a file as MMLU's; small models by compare: texts), captioning (METEOR, ROUGE-L,
            CIDEr, SPICE), stanford_dogs and capsbench (from the data sets' own files) are further
            ones, a task of your own is named by its dotted path. grounding, perception, general
            and captions, or a task of these by its name in lmms-eval, are run by lmms-eval on a
            checkpoint of stock transformers.
        options: Settings by task: {counting: {limit: 50, ways: [generate]}}.
        data: A dataset of scenes whose regions name all that they show; composed where left out.
        split: Of the data, or of the scenes to compose: test, or test_names and test_combinations
            with what scene.held_out_names and scene.held_out_pair_share hold out of training;
            test_words with text.held_out_words.
        count: Scenes: so many are composed, or the first so many of the data are taken.
        scene: How scenes are composed.
        kind: What composed scenes show: objects, or pages of words or charts.
        text: How pages of words and charts are composed.
        labels: Names of the checkpoints in tables, with commas between; their folders' if left out
            (of folders alike with the one above: a-sft, b-sft).
        kept: Also the models that each run kept on its way (`diglot train --keep_every 50`), as
            NAME-STEP: scores over training, on the page and by --curve.
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
    from diglot.cli.evaluate_results import run_evaluate  # slow to load: not for --help

    run_evaluate(
        checkpoints=checkpoints,
        out=out,
        tasks=tasks,
        options=options,
        data=data,
        split=split,
        count=count,
        scene=scene,
        kind=kind,
        text=text,
        labels=labels,
        kept=kept,
        ask=ask,
        harness=harness,
        lmms=lmms,
        into=into,
        curve=curve,
        pictures=pictures,
        seed=seed,
        json=json,
    )
