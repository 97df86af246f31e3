"""Groups of lmms-eval's tasks by their names there, and the figure that papers print of each.

Names and metrics are those of lmms-eval 0.7.3; `run.check_tasks` asks the installed one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from diglot.core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One column of a paper's table: which metrics of which task, and how they become per cent."""

    column: str
    task: str
    metrics: tuple[str, ...]
    scale: float = 100.0
    """What the metric, or their sum, is multiplied with; 1 where it is in per cent."""
    grader: bool = False
    """Its answers are scored by a chat model behind an OpenAI-compatible endpoint."""
    group: Literal["grounding", "perception", "general", "captions"]

    def value(self, results: Mapping[str, float]) -> float:
        """The figure of a task's results by metric. Raises DataError where a metric is missing."""
        for metric in self.metrics:
            if not isinstance(results.get(metric), int | float):
                raise DataError(
                    f"no value of {metric!r}",
                    expected="a number among " + ", ".join(results),
                    where=f"lmms-eval's results of {self.task}",
                )
        return self.scale * sum(results[metric] for metric in self.metrics)


def _rec_figures(dataset: str, *splits: str) -> list[Figure]:
    names = {"refcoco": "RefCOCO", "refcoco+": "RefCOCO+", "refcocog": "RefCOCOg"}
    return [
        Figure(
            column=f"{names[dataset]} {split}",
            task=f"{dataset}_bbox_rec_{split}",
            metrics=("refcoco_ACC@0.5",),
            group="grounding",
        )
        for split in splits
    ]


def _group_figures(group: str, *rows: tuple[str, str, str, float]) -> list[Figure]:
    return [
        Figure(column=column, task=task, metrics=(metric,), scale=scale, group=group)  # type: ignore[arg-type]
        for column, task, metric, scale in rows
    ]


FIGURES: tuple[Figure, ...] = (
    *_rec_figures("refcoco", "val", "testA", "testB"),
    *_rec_figures("refcoco+", "val", "testA", "testB"),
    *_rec_figures("refcocog", "val", "test"),
    *_group_figures(
        "perception",
        ("AI2D", "ai2d", "exact_match", 100),
        ("ChartQA", "chartqa", "relaxed_overall", 100),
        ("CVBench", "cv_bench", "cv_bench_acc", 100),
        ("OCRBench", "ocrbench", "ocrbench_accuracy", 100),
        ("RealWorldQA", "realworldqa", "exact_match", 100),
        ("TextVQA", "textvqa_val", "exact_match", 100),
        ("V*", "vstar_bench", "vstar_overall_acc", 1),
    ),
    *_group_figures(
        "general",
        ("MMBench", "mmbench_en_dev", "gpt_eval_score", 1),
        ("MMBench-CN", "mmbench_cn_dev", "gpt_eval_score", 1),
        ("MMStar", "mmstar", "average", 100),
        ("MMMU", "mmmu_val", "mmmu_acc", 100),
        ("CMMMU", "cmmmu_val", "cmmmu_acc", 100),
        ("GQA", "gqa", "exact_match", 100),
        ("POPE", "pope", "pope_accuracy", 100),
        ("VQAv2", "vqav2_val", "exact_match", 100),
        ("VizWiz", "vizwiz_vqa_val", "exact_match", 100),
        ("ScienceQA", "scienceqa_img", "exact_match", 100),
        ("OKVQA", "ok_vqa_val2014", "exact_match", 100),
        ("SEED", "seedbench", "seed_image", 100),
        ("MMT", "mmt_val", "accuracy", 1),
        ("MMVP", "mmvp", "mmvp_pair_accuracy", 100),
    ),
    Figure(
        column="MME",
        task="mme",
        metrics=("mme_perception_score", "mme_cognition_score"),
        scale=100 / 2800,  # of 2000 for perception and 800 for cognition
        group="general",
    ),
    Figure(
        column="MM-Vet",
        task="mmvet",
        metrics=("gpt_eval_score",),
        scale=1,
        grader=True,
        group="general",
    ),
    *_group_figures(
        "captions",
        ("COCO METEOR", "coco2017_cap_val", "coco_METEOR", 100),
        ("COCO ROUGE-L", "coco2017_cap_val", "coco_ROUGE_L", 100),
        ("COCO CIDEr", "coco2017_cap_val", "coco_CIDEr", 100),
    ),
)
GROUPS = ("grounding", "perception", "general", "captions")


def figures_of(names: tuple[str, ...]) -> list[Figure]:
    """The figures of some groups or tasks, in the tables' order."""
    return [figure for figure in FIGURES if figure.group in names or figure.task in names]
