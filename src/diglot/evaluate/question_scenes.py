"""The scenes that tasks ask about, a dataset's or composed ones, and the questions made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.core.types import Sample
from diglot.data.checks.box_units import warn_of_boxes
from diglot.data.features import sample_picture
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import REJECTED, Rejected, Rejection, none_usable_error
from diglot.data.samples import check_masks, usable_samples
from diglot.evaluate.benchmark import Benchmark, make_benchmark
from diglot.evaluate.config import TASK_TEXTS
from diglot.evaluate.task import ChosenTask
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from diglot.synth.scenes.write import Maker, write_scenes
from diglot.synth.text_pairs.fonts import find_families
from diglot.synth.text_scenes.compose import TextSceneMaker
from diglot.synth.text_scenes.config import TextScenesConfig

SceneKind = Literal["objects", "words", "charts"]
ABSENT = ("presence", "counting", "description")  # tasks that rely on regions naming everything
ALL_NAMED = 99  # more than a page holds


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Where the scenes come from that tasks ask about."""

    data: Path | None  # None: they are composed
    split: str
    count: int  # only the first so many
    scene: ScenesConfig
    seed: int
    kind: SceneKind = "objects"
    text: TextScenesConfig = TASK_TEXTS  # how pages and charts are composed


def make_questions(
    chosen: Sequence[ChosenTask], questions: Questions, out: Path, report: Report
) -> Benchmark:
    """The benchmark of the first scenes that can be used, in OUT/benchmark; others are noted.

    Those are listed in OUT/rejected.jsonl. Raises as `make_benchmark` does.
    """
    rejected = Rejected.begin(out / REJECTED)
    scenes, digest = list[Sample](), ""
    if any(one.task.needs_scenes for one in chosen):
        dataset = open_scenes(questions, out, report)
        _check_named(dataset, chosen)
        warn_of_boxes(dataset.folder, dataset.split)
        scenes = list(_usable_scenes(dataset, questions.count, rejected))
        if not scenes:
            raise none_usable_error(f"{dataset.folder}, {dataset.split}", rejected.path)
        digest = f"{dataset.fingerprint}, first {questions.count}"
        if rejected.counts:  # pictures in files of their own are in no fingerprint
            digest += f", scenes {[scene.id for scene in scenes]}"
    return make_benchmark(out / "benchmark", chosen, scenes, data=digest, seed=questions.seed)


def _usable_scenes(dataset: Dataset, count: int, rejected: Rejected) -> Iterator[Sample]:
    """Those of the first `count` scenes with all that a task may read; the others are noted.

    An item names its scene by the id, so of scenes with one id the first is asked about.
    """
    first, ids = range(min(count, len(dataset))), set[str]()
    for index, scene in usable_samples(dataset, _check_scene, rejected.note, indices=first):
        if scene.id in ids:
            where = f"{dataset.folder}, {dataset.split}, record {index}"
            rejected.note(Rejection(scene.id, "repeated id", where, "a record before has it"))
        else:
            ids.add(scene.id)
            yield scene


def _check_scene(scene: Sample) -> Sample:
    """The scene. Raises DataError unless it has one picture, and that and its masks are whole."""
    sample_picture(scene)
    return check_masks(scene)


def open_scenes(questions: Questions, out: Path, report: Report) -> Dataset:
    """The dataset of the scenes; composed into OUT/scenes where none is given."""
    if questions.data:
        return open_dataset(questions.data, questions.split)
    folder = out / ("scenes" if questions.kind == "objects" else f"scenes_{questions.kind}")
    write_scenes(_open_maker(questions), folder, questions.count, report=report)
    return open_dataset(folder, questions.split)


def _open_maker(questions: Questions) -> Maker:
    split, seed, kind = questions.split, questions.seed, questions.kind
    if kind != "objects":
        return TextSceneMaker(find_families(), questions.text, kind, split=split, seed=seed)
    photos = embedded_backgrounds() if questions.scene.texture_share < 1 else []
    return SceneMaker(embedded_pools(), questions.scene, split=split, seed=seed, photos=photos)


def _check_named(dataset: Dataset, chosen: Sequence[ChosenTask]) -> None:
    """Raises ConfigError where pages name some of their texts, and a task asks for absence."""
    config = dataset.info.get("config") or {}
    kind = str(dataset.info.get("made_by", "")).split(" ")[0]
    partly = kind in ("words", "charts") and config.get("mentions", [ALL_NAMED])[0] < ALL_NAMED
    asking = [one.key for one in chosen if one.settings["name"] in ABSENT]
    if partly and asking:
        raise ConfigError(
            f"{asking[0]} asks for what is absent, and these {kind} name only some of their texts",
            where=str(dataset.folder),
            fix=f"Compose them with --text.mentions '[{ALL_NAMED}, {ALL_NAMED}]'.",
        )
