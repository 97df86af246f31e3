"""One job from start to end: shared features, training, measures. A job that was killed resumes."""

from contextlib import suppress
from pathlib import Path

from diglot.core.progress import Report
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.files import locked
from diglot.measure.checkpoint import Measures, Scenes, device, measure_run, shared_features
from diglot.models.vlm import VLM, build_vlm
from diglot.studies.compare.jobs import FAILED, Job
from diglot.train.loop import train


def run_job(job: Job, report: Report) -> Measures:
    """Train and measure; returns the measures, which lie in the run folder too.

    Raises what training and measuring raise for settings and data that cannot work.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with locked(job.folder / ".lock", wait=True):  # of a study that was killed, a job may live on
        with suppress(FileNotFoundError):
            (job.folder / FAILED).unlink()
        scenes = open_scenes(job)
        if not (job.folder / "model").exists():
            _train_job(job, _open_training(job), report)
        return measure_run(job.folder, job.row, scenes, job.measure, report)


def open_scenes(job: Job) -> Scenes:
    """The data that a job trains and measures on."""
    return Scenes(
        train=_open_training(job),
        held_out=open_dataset(Path(job.stage.sources[0].path), job.held_out),
        features=job.stage.features,
        rejected=job.folder / "rejected.jsonl",
    )


def _open_training(job: Job) -> Dataset:
    return open_dataset(Path(job.stage.sources[0].path), job.stage.split)


def _train_job(job: Job, dataset: Dataset, report: Report) -> None:
    train(job.stage, vlm=_build_vlm(job, dataset, report), report=report)


def _build_vlm(job: Job, dataset: Dataset, report: Report) -> VLM | None:
    """The model, once features that other jobs need too are made; None: no features to make."""
    if job.stage.features is None or job.stage.start_from:
        return None
    vlm = build_vlm(job.stage.model, seed=job.stage.seed).to(device())
    rejected = Rejected(job.folder / "rejected.jsonl")
    shared_features(vlm, dataset, job.stage.features, rejected, report, first=job.stage.max_samples)
    return vlm
