"""The trainings of a comparison: each row with each number of samples and each seed, in order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.core.run_files import METRICS, read_metrics
from diglot.data.labels import open_labels
from diglot.data.records import Dataset, open_dataset
from diglot.measure.checkpoint import kept_measures
from diglot.measure.config import MeasureConfig
from diglot.measure.kept import Measures
from diglot.models.checkpoint import load_config
from diglot.studies.compare.chain import StudyQuestions, join_measures, kept_scores
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.rows import StudyRow
from diglot.train.config import StageConfig
from diglot.train.datasets import RunDataset
from diglot.train.integrity import check_record, is_marked
from diglot.train.run_folder import open_run

FAILED = "failed.json"
SECOND = "sft"  # the second stage's run folder, in the first one's


@dataclass(frozen=True, kw_only=True)
class Job:
    """One chain of stages and its measures; everything about it lies in the first's run folder."""

    row: str
    samples: int
    seed: int
    stage: StageConfig
    held_out: str  # split of the same dataset folder
    measure: MeasureConfig
    fingerprints: tuple[str, ...] = ()  # of the held-out and the training data
    pretrain: bool = True  # False: the first stage leaves the projector untrained; 0 samples
    second: StageConfig | None = None  # the stage that starts from the first one's result
    questions: StudyQuestions | None = None  # what is asked after the last stage

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.stage.out)

    @property
    def name(self) -> str:
        """As it stands in progress lines and logs: "caption, 512 samples, seed 0"."""
        return f"{self.row}, {self.samples} samples, seed {self.seed}"

    @property
    def last(self) -> StageConfig:
        """The stage that the chain ends with; its run folder is in the first one's."""
        return self.second or self.stage

    def measures(self) -> Measures | None:
        """What was measured, by key (`Measure.to_json`); None where it is not done."""
        out = Path(self.last.out)
        trained = [self.folder] * self.pretrain + [out] * bool(self.second)
        if not all(map(is_marked, trained)):
            return None
        before = kept_measures(self.folder, self.fingerprints, self.measure)
        after = kept_measures(out, self.fingerprints, self.measure) if self.second else None
        scores = kept_scores(out, self.questions) if self.questions else None
        unmeasured = (self.second and after is None) or (self.questions and scores is None)
        if before is None or unmeasured:
            return None
        return join_measures(before, after, scores)

    def failure(self) -> str | None:
        """Why the last attempt ended without measures; None where it did not, or none was made."""
        path = self.folder / FAILED
        if not path.exists():
            return None
        try:
            return str(json.loads(path.read_bytes())["reason"])
        except (ValueError, KeyError, TypeError):
            return f"its reason cannot be read: {path} is damaged"


def plan_jobs(
    config: CompareConfig,
    rows: Sequence[StudyRow],
    all_samples: int,
    fingerprints: tuple[str, ...] = (),
) -> list[Job]:
    """Every job, round by round: all rows and sizes with the first seed first, small sizes first.

    Raises ConfigError where more samples are asked for than the `all_samples` that there are.
    """
    questions = StudyQuestions(config.evaluate, config.out) if config.evaluate else None
    sizes = sorted(config.samples or [all_samples])
    if sizes[-1] > all_samples:
        expected = f"at most the {all_samples} of split {config.split!r}"
        raise ConfigError("not so many samples", expected=expected, got=sizes[-1], where="samples")
    return [
        replace(
            _make_job(config, row, samples, seed), fingerprints=fingerprints, questions=questions
        )
        for seed in config.seeds
        for samples in sizes
        for row in rows
        if row.pretrain or samples == sizes[0]  # without training there is one size
    ]


def _make_job(config: CompareConfig, row: StudyRow, samples: int, seed: int) -> Job:
    samples = samples if row.pretrain else 0
    folder = Path(config.out) / "runs" / row.label / f"{samples}-{seed}"
    stage = replace(row.stage, out=str(folder), max_samples=samples or None, seed=seed)
    ours = {"out": f"{folder}/{SECOND}", "start_from": f"{folder}/model", "seed": seed}
    return Job(
        row=row.label,
        samples=samples,
        seed=seed,
        stage=stage,
        held_out=config.held_out,
        measure=config.measure,
        pretrain=row.pretrain,
        second=replace(row.second, **ours) if row.second else None,
    )


def check_begun(jobs: Sequence[Job], dataset: Dataset) -> None:
    """Raises ConfigError where a job's folder holds a run with other settings or other data."""
    for job in jobs:
        _check_stage(job.stage, dataset)
        if job.second:
            check_record(Path(job.second.out))
        if job.second and read_metrics(Path(job.second.out) / METRICS):
            source = job.second.sources[0]
            _check_stage(job.second, open_dataset(Path(source.path), str(source.split)))
        model = job.folder / "model"
        if not job.pretrain and model.is_dir() and load_config(model) != job.stage.model:
            raise ConfigError(
                "this folder holds an untrained projector of another model",
                where=str(model),
                fix="Give another --out, or delete the folder to start over.",
            )


def _check_stage(stage: StageConfig, dataset: Dataset) -> None:
    check_record(Path(stage.out))
    if read_metrics(Path(stage.out) / METRICS):
        labels = stage.labels and open_labels(Path(stage.labels), dataset)
        read = RunDataset(dataset, labels or None)
        # a first stage whose model is damaged is run again before its second one
        open_run(stage, fingerprint=read.fingerprint, remade=("start_from",))
