"""One job from start to end: features, stages, measures, questions. A killed job resumes."""

from contextlib import suppress
from pathlib import Path

from diglot.core.progress import Report
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import lock_file
from diglot.measure.checkpoint import Scenes, measure_run, shared_features
from diglot.measure.kept import Measures
from diglot.models.checkpoint import CONFIG, load_config, part_file, save_vlm
from diglot.models.device_map import default_device
from diglot.models.vlm import VLM, build_vlm
from diglot.studies.compare.chain import join_measures, score_run
from diglot.studies.compare.jobs import FAILED, Job
from diglot.train.config import StageConfig
from diglot.train.integrity import is_finished
from diglot.train.loop import train


def run_job(job: Job, report: Report) -> Measures:
    """Train, measure and ask; returns what was measured, which lies in the run folders too.

    Raises what training and measuring raise for settings and data that cannot work.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with lock_file(
        job.folder / ".lock", wait=True
    ):  # of a study that was killed, a job may live on
        with suppress(FileNotFoundError):
            (job.folder / FAILED).unlink()
        if not job.pretrain or not is_finished(job.folder):  # or its model is damaged
            _train_first(job, report)
        before, after, scores = _measure_stage(job, job.stage, report), None, None
        if job.second:
            if not is_finished(Path(job.second.out)):
                _train_stage(job.second, report)
            after = _measure_stage(job, job.second, report)
        if job.questions:
            run = Path(job.last.out)
            scores = score_run(run, job.row, job.questions, job.last.features, report)
        return join_measures(before, after, scores)


def _measure_stage(job: Job, stage: StageConfig, report: Report) -> Measures:
    return measure_run(Path(stage.out), job.row, open_scenes(job, stage), job.measure, report)


def open_scenes(job: Job, stage: StageConfig) -> Scenes:
    """The data that a stage of a job is measured with."""
    return Scenes(
        train=_open_training(job.stage),
        held_out=open_dataset(Path(job.stage.sources[0].path), job.held_out),
        features=stage.features,
        rejected=Path(stage.out) / REJECTED,
    )


def _open_training(stage: StageConfig) -> Dataset:
    return open_dataset(Path(stage.sources[0].path), stage.split)


def _train_first(job: Job, report: Report) -> None:
    """The first stage; of a row without one, the projector as it is before any training."""
    if job.pretrain:
        _train_stage(job.stage, report)
        return
    vlm = build_vlm(job.stage.model, seed=job.stage.seed)
    save_vlm(vlm, job.stage.model, job.folder / "model", parts=("projector",))


def _train_stage(stage: StageConfig, report: Report) -> None:
    train(stage, vlm=_build_vlm(stage, report), report=report)


def _build_vlm(stage: StageConfig, report: Report) -> VLM | None:
    """The model, once features that other jobs need too are made; None: no features to make."""
    if stage.features is None or (stage.start_from and not _has_our_encoder(stage.start_from)):
        return None
    vlm = build_vlm(stage.model, seed=stage.seed).to(default_device())
    rejected = Rejected(Path(stage.out) / REJECTED)
    dataset = _open_training(stage)
    shared_features(vlm, dataset, stage.features, rejected, report, first=stage.max_samples)
    return vlm


def _has_our_encoder(start: str) -> bool:
    """Whether a checkpoint that a stage starts from leaves the recipe's encoder as it is."""
    folder = Path(start)
    if not (folder / CONFIG).is_file() or part_file(folder, "encoder").exists():
        return False
    return not load_config(folder).stock
