"""The scenes that tasks ask about, a dataset's or composed ones, and the questions made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diglot.core.progress import Report
from diglot.core.types import Sample
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.data.samples import usable_samples
from diglot.evaluate.benchmark import Benchmark, make_benchmark
from diglot.evaluate.task import ChosenTask
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from diglot.synth.scenes.write import write_scenes


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Where the scenes come from that tasks ask about."""

    data: Path | None  # None: they are composed
    split: str
    count: int  # only the first so many
    scene: ScenesConfig
    seed: int


def make_questions(
    chosen: Sequence[ChosenTask], questions: Questions, out: Path, report: Report
) -> Benchmark:
    """The benchmark of the first scenes that can be used, in OUT/benchmark; others are noted.

    Raises as `make_benchmark` does.
    """
    scenes, digest = list[Sample](), ""
    if any(one.task.needs_scenes for one in chosen):
        dataset = open_scenes(questions, out, report)
        rejected = Rejected(out / "rejected.jsonl")
        first = range(min(questions.count, len(dataset)))
        usable = usable_samples(dataset, lambda sample: sample, rejected.note, indices=first)
        scenes = [sample for _, sample in usable if len(sample.images) == 1]
        digest = f"{dataset.fingerprint}, first {questions.count}"
    return make_benchmark(out / "benchmark", chosen, scenes, data=digest, seed=questions.seed)


def open_scenes(questions: Questions, out: Path, report: Report) -> Dataset:
    """The dataset of the scenes; composed into OUT/scenes where none is given."""
    if questions.data:
        return open_dataset(questions.data, questions.split)
    scene, split, folder = questions.scene, questions.split, out / "scenes"
    photos = embedded_backgrounds() if scene.texture_share < 1 else []
    maker = SceneMaker(embedded_pools(), scene, split=split, seed=questions.seed, photos=photos)
    write_scenes(maker, folder, questions.count, report=report)
    return open_dataset(folder, split)
