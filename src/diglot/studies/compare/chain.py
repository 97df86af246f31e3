"""What follows a row's first stage: questions asked of its last one, and all measures together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from diglot import __version__
from diglot.config.parts import as_plain
from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.data.config import FeaturesConfig
from diglot.data.records import Dataset
from diglot.data.rejected import REJECTED, Rejected
from diglot.evaluate.ask import ProjectItem
from diglot.evaluate.benchmark import Benchmark, open_benchmark, read_about
from diglot.evaluate.question_scenes import Questions, make_questions, open_scenes
from diglot.evaluate.run import evaluate_checkpoint, list_measures
from diglot.evaluate.task import ChosenTask, load_tasks
from diglot.files import read_kept, reuse_or_make
from diglot.measure.checkpoint import shared_features
from diglot.measure.kept import Measures, checkpoint_digest
from diglot.models.chat import ProjectedPicture
from diglot.models.device_map import default_device
from diglot.models.vlm import VLM
from diglot.studies.compare.chain_config import EvaluationConfig

KEPT = "evaluation.json"


@dataclass(frozen=True)
class StudyQuestions:
    """The questions of a study: made once, asked of every row."""

    config: EvaluationConfig
    out: str  # the study's folder

    @property
    def folder(self) -> Path:
        """Where questions, and scenes that are composed for them, are kept."""
        return Path(self.out) / "evaluation"

    def open_tasks(self) -> list[ChosenTask]:
        """The tasks. Raises ConfigError for an unknown one, or wrong settings."""
        config = self.config
        named = [one.key for one in load_tasks(config.tasks, config.options)]
        ways = {"ways": tuple(config.ways)}
        return load_tasks(named, {key: ways | (config.options.get(key) or {}) for key in named})

    @property
    def source(self) -> Questions:
        """Where their scenes come from."""
        config = self.config
        return Questions(
            data=config.folder,
            split=config.split,
            count=config.count,
            scene=config.scene,
            seed=config.seed,
            kind=config.kind,
            text=config.text,
        )

    def prepare(self, report: Report) -> Benchmark:
        """Make the questions, or find them again.

        Raises as `make_questions` does, and ConfigError for a task that no way to ask is left of.
        """
        tasks = self.open_tasks()
        benchmark = make_questions(tasks, self.source, self.folder, report)
        for chosen in tasks:
            chooses = any(item.candidates for item in benchmark.of_task(chosen.key))
            if not chooses and "generate" not in chosen.task.asked.ways:
                fix = f"Give options: {{{chosen.key}: {{ways: [generate]}}}}."
                where = f"evaluate, task {chosen.key!r}"
                raise ConfigError("it has no candidates to choose among", where=where, fix=fix)
        return benchmark

    def key(self, model: Path) -> list[Any]:
        """All that the scores of a checkpoint depend on."""
        items = read_about(self.folder / "benchmark").get("items_sha256")
        return [checkpoint_digest(model), items, as_plain(self.config), __version__]


def kept_scores(run: Path, asked: StudyQuestions) -> Measures | None:
    """The benchmark's scores of a run folder; None where they are not there, or of others."""
    model = run / "model"
    return read_kept(run / KEPT, asked.key(model)) if model.is_dir() else None


def score_run(
    run: Path, label: str, asked: StudyQuestions, features: FeaturesConfig | None, report: Report
) -> Measures:
    """Ask the model in a run folder, or take the scores kept there; its answers stay there too."""

    def ask_all() -> Measures:
        benchmark, tasks = open_benchmark(asked.folder / "benchmark"), asked.open_tasks()
        evaluated = evaluate_checkpoint(
            run / "model",
            label,
            benchmark,
            tasks,
            asked.config.ask,
            run / "answers",
            report,
            projecting=_keep_features(asked, features, run, report) if features else None,
        )
        measures = list_measures([evaluated], seed=asked.config.seed)
        return {measure["key"]: measure for measure in measures}

    return reuse_or_make(run / KEPT, asked.key(run / "model"), ask_all)


def _keep_features(
    asked: StudyQuestions, features: FeaturesConfig, run: Path, report: Report
) -> Callable[[VLM], ProjectItem]:
    """Pictures projected from the features that all rows share, made by the first one."""
    dataset = open_scenes(asked.source, asked.folder, report)
    rejected, count = Rejected(run / REJECTED), asked.config.count
    # of scenes with one id the first is asked about
    index_of = {dataset.ids[index]: index for index in reversed(range(len(dataset)))}

    def projecting(vlm: VLM) -> ProjectItem:
        cache = shared_features(vlm, dataset, features, rejected, report, first=count)
        return lambda item: _project_picture(vlm, dataset, index_of[str(item.scene)], cache.views)

    return projecting


@torch.no_grad()
def _project_picture(
    vlm: VLM, dataset: Dataset, index: int, views: Callable[[int], tuple[torch.Tensor, ...]]
) -> ProjectedPicture:
    (size_hw,) = dataset.sizes_hw[index]
    on_device = [view.to(default_device()) for view in views(index)]
    return ProjectedPicture(vlm.token_grid(size_hw), vlm.project(on_device))


def join_measures(before: Measures, after: Measures | None, scores: Measures | None) -> Measures:
    """The benchmark's scores, averages first, then each measure before and after fine-tuning."""
    found = sorted((scores or {}).items(), key=lambda item: not item[0].startswith("average."))
    joined = dict(found)
    if after is None:
        return joined | before
    for key, measure in before.items():
        joined[key] = measure | {"title": f"{measure['title']}, before SFT"}
        joined[f"sft.{key}"] = after[key] | {
            "key": f"sft.{key}",
            "title": f"{measure['title']}, after SFT",
        }
    return joined
