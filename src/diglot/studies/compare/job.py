"""One job from start to end: shared features, training, measures. It goes on where it was."""

from contextlib import suppress
from pathlib import Path

from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.files import locked
from diglot.measure.checkpoint import Measures, Scenes, Tell, device, measure_run, shared_features
from diglot.models.vlm import VLM, build_vlm
from diglot.studies.compare.jobs import FAILED, Job
from diglot.train.loop import Progress, train


def run_job(job: Job, tell: Tell) -> Measures:
    """Train and measure; returns the measures, which lie in the run folder too.

    Raises what training and measuring raise for settings and data that cannot work.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with locked(job.folder / ".lock", wait=True):  # of a study that was killed, a job may live on
        with suppress(FileNotFoundError):
            (job.folder / FAILED).unlink()
        scenes = open_scenes(job)
        if not (job.folder / "model").exists():
            _train(job, scenes.train, tell)
        return measure_run(job.folder, job.row, scenes, job.measure, tell)


def open_scenes(job: Job) -> Scenes:
    """The data that a job trains and measures on."""
    data = Path(job.stage.data)
    return Scenes(
        train=open_dataset(data, job.stage.split),
        held_out=open_dataset(data, job.held_out),
        features=job.stage.features,
        rejected=job.folder / "rejected.jsonl",
    )


def _train(job: Job, dataset: Dataset, tell: Tell) -> None:
    def report(progress: Progress) -> None:
        note = "" if progress.loss is None else f"loss {progress.loss:.3f}"
        tell(progress.stage, progress.done, progress.total, note)

    train(job.stage, vlm=_vlm(job, dataset, tell), report=report)


def _vlm(job: Job, dataset: Dataset, tell: Tell) -> VLM | None:
    """The model, once features that other jobs need too are made; None: no features to make."""
    if job.stage.features is None or job.stage.start_from:
        return None
    vlm = build_vlm(job.stage.model, seed=job.stage.seed).to(device())
    rejected = Rejected(job.folder / "rejected.jsonl")
    shared_features(vlm, dataset, job.stage.features, rejected, tell, first=job.stage.max_samples)
    return vlm
