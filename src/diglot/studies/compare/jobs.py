"""The trainings of a comparison: each row with each number of samples and each seed, in order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError
from diglot.data.labels import open_labels
from diglot.data.records import Dataset
from diglot.measure.checkpoint import kept_measures
from diglot.measure.config import MeasureConfig
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.rows import Row
from diglot.train.config import StageConfig
from diglot.train.datasets import Source
from diglot.train.run_folder import open_run
from diglot.train.trackers import read_metrics

FAILED = "failed.json"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training and its measures; everything about it lies in the stage's run folder."""

    row: str
    samples: int
    seed: int
    stage: StageConfig
    held_out: str  # split of the same dataset folder
    measure: MeasureConfig
    fingerprints: tuple[str, ...] = ()  # of the held-out and the training data

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.stage.out)

    @property
    def name(self) -> str:
        """As it stands in progress lines and logs: "caption, 512 samples, seed 0"."""
        return f"{self.row}, {self.samples} samples, seed {self.seed}"

    def measures(self) -> dict[str, Any] | None:
        """What was measured, by key (`Measure.to_json`); None where it is not done."""
        return kept_measures(self.folder, self.fingerprints, self.measure)

    def failure(self) -> str | None:
        """Why the last attempt ended without measures; None where it did not, or none was made."""
        path = self.folder / FAILED
        return json.loads(path.read_text())["reason"] if path.exists() else None


def plan_jobs(
    config: CompareConfig,
    rows: Sequence[Row],
    all_samples: int,
    fingerprints: tuple[str, ...] = (),
) -> list[Job]:
    """Every job, round by round: all rows and sizes with the first seed first, small sizes first.

    Raises ConfigError where more samples are asked for than the `all_samples` that there are.
    """
    sizes = sorted(config.samples or [all_samples])
    if sizes[-1] > all_samples:
        expected = f"at most the {all_samples} of split {config.split!r}"
        raise ConfigError("not so many samples", expected=expected, got=sizes[-1], where="samples")
    return [
        _make_job(config, row, samples, seed, fingerprints)
        for seed in config.seeds
        for samples in sizes
        for row in rows
    ]


def _make_job(
    config: CompareConfig, row: Row, samples: int, seed: int, fingerprints: tuple[str, ...]
) -> Job:
    folder = Path(config.out) / "runs" / row.label / f"{samples}-{seed}"
    stage = replace(row.stage, out=str(folder), max_samples=samples, seed=seed)
    return Job(
        row=row.label,
        samples=samples,
        seed=seed,
        stage=stage,
        held_out=config.held_out,
        measure=config.measure,
        fingerprints=fingerprints,
    )


def check_begun(jobs: Sequence[Job], dataset: Dataset) -> None:
    """Raises ConfigError where a job's folder holds a run with other settings or other data."""
    for job in jobs:
        if read_metrics(job.folder / "metrics.jsonl"):
            labels = job.stage.labels and open_labels(Path(job.stage.labels), dataset)
            open_run(job.stage, fingerprint=Source(dataset, labels or None).fingerprint)
