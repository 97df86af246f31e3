"""One checkpoint measured, with everything its page needs, as a record in a file.

The record holds measures, curves of the run that made the checkpoint, a plane of tokens and words,
and for some samples what each of their visual tokens is near to.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diglot import __version__
from diglot.core.distributed import rank_and_world_size
from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.core.result import side_by_side
from diglot.core.run_files import METRICS, read_metrics
from diglot.core.seals import seal_record
from diglot.data.features import sample_picture
from diglot.data.rejected import Rejected
from diglot.files import write_json
from diglot.measure.checkpoint import (
    Scenes,
    measure_subject,
    open_checkpoint,
    open_subject,
    randomise_projector,
)
from diglot.measure.config import MeasureConfig, resolve_measures
from diglot.measure.kept import checkpoint_digest, measure_key, read_record
from diglot.measure.lexicon import open_lexicon
from diglot.measure.plan import Subject
from diglot.measure.scatter import scatter_json
from diglot.measure.token_details import Details, token_details
from diglot.measure.token_maps import map_json
from diglot.measure.word_space import caption_words, open_words
from diglot.report.samples import sample_json
from diglot.train.run_folder import describe_environment

PROBED = "probe/"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is measured, on what, and how much is kept for the page."""

    model: Path  # the folder of a checkpoint
    scenes: Scenes
    data: str  # its name on the page
    chosen: MeasureConfig  # with its settings spelled out
    labels: tuple[str, ...]  # of the model, and with two of them also with a fresh projector
    examples: int = 4
    points: int = 200
    seed: int = 0
    own_list: bool = False  # the list of rejected records holds those of this measurement alone

    @property
    def key(self) -> str:
        """What a record is found again by."""
        kept = (f"{self.examples} examples", f"{self.points} points", "details 3")
        digests = (*self.scenes.fingerprints, *self.labels, *kept)
        return measure_key(self.model, digests, self.chosen, seed=self.seed)


def keep_measurement(job: Measurement, path: Path, report: Report) -> tuple[dict[str, Any], bool]:
    """The record in the file, and whether it was there: made only where it is of something else."""
    record = read_record(path, job.key)
    if record is not None:
        return record, True
    record = seal_record({"key": job.key, "data": job.data, **run_measurement(job, report)})
    if rank_and_world_size()[0] == 0:
        write_json(path, record)
    return record, False


def run_measurement(job: Measurement, report: Report) -> dict[str, Any]:
    """What was measured, of what, how, where and how long it took."""
    if job.own_list:
        Rejected.begin(job.scenes.rejected)
    began, vlm = time.perf_counter(), open_checkpoint(job.model)
    measures, shown, scatter = [], [], {}
    for number, label in enumerate(job.labels):
        if number:
            vlm = randomise_projector(vlm, job.model, seed=job.seed)
        subject = open_subject(vlm, job.scenes, job.chosen, report)
        measures.append(measure_subject(subject, label, report, seed=job.seed))
        shown.append(_collect_examples(subject, job))
        scatter[label] = _scatter_points(subject, job)
    return {
        "format": 1,
        "runs": list(job.labels),
        "weights": checkpoint_digest(job.model),
        "fingerprints": list(job.scenes.fingerprints),
        "seed": job.seed,
        "settings": resolve_measures(job.chosen),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 2),
        "environment": {"diglot": __version__, **describe_environment()},
        **({"rejected": Rejected(job.scenes.rejected).counts} if job.own_list else {}),
        "measures": list(side_by_side(measures).values()),
        "curves": training_curves(job.model.parent, job.labels[0]),
        "scatter": {label: plane for label, plane in scatter.items() if plane},
        "examples": _join_examples(job.labels, shown),
    }


def training_curves(
    run: Path, label: str, *, prefixes: tuple[str, ...] = (PROBED,)
) -> list[dict[str, Any]]:
    """The figures of the run that made a checkpoint over its steps; none without."""
    lines = read_metrics(run / METRICS)
    names = dict.fromkeys(key for line in lines for key in line if key.startswith(prefixes))
    return [
        {
            "title": f"{name.removeprefix(PROBED)} while training",
            "x_label": "step",
            "y_label": "on the probe set" if name.startswith(PROBED) else "of the step",
            "series": {label: [[line["step"] + 1, line[name]] for line in lines if name in line]},
        }
        for name in names
    ]


def training_record(run: Path) -> dict[str, Any]:
    """What a run folder of `diglot train` shows without being measured: its figures by step.

    Raises ConfigError where it is none.
    """
    if not (run / METRICS).is_file():
        raise ConfigError(f"no run folder of `diglot train`: no {METRICS} in it", where=str(run))
    name = run.resolve().name
    lines = read_metrics(run / METRICS)
    changed = datetime.fromtimestamp((run / METRICS).stat().st_mtime, UTC)
    return {
        "format": 1,
        "runs": [name],
        "data": "while training",
        "weights": "",
        "fingerprints": [],
        "seed": 0,
        "settings": {},
        "created": changed.isoformat(timespec="seconds"),
        "seconds": round(sum(line.get("seconds", 0.0) for line in lines), 2),
        "environment": describe_environment(),
        "measures": [],
        "curves": training_curves(run, name, prefixes=("loss", PROBED)),
        "examples": [],
    }


def _subject_words(subject: Subject) -> list[str]:
    return caption_words([projected.sample for projected in subject.held_out], subject.names)


def _scatter_points(subject: Subject, job: Measurement) -> dict[str, Any] | None:
    if not job.points or rank_and_world_size()[0] or not _all_finite(subject):
        return None
    space = open_words(subject.vlm.language, _subject_words(subject))
    return scatter_json(subject.held_out, space, job.points, seed=job.seed)


def _collect_examples(subject: Subject, job: Measurement) -> list[dict[str, Any]]:
    """The first samples with their token maps; words are of their captions and names.

    One process writes the page's part.
    """
    if not job.examples or rank_and_world_size()[0] or not _all_finite(subject):
        return []
    words, frame = _subject_words(subject), subject.options.frame
    space, lexicon = open_words(subject.vlm.language, words), open_lexicon(words)
    options = _details_options(subject.options)
    details = Details(subject.vlm, space, lexicon, frame, **options)
    return [
        {
            **sample_json(projected.sample, sample_picture(projected.sample)),
            "map": map_json(projected, words, subject.vlm.language),
            "details": token_details(projected, details),
        }
        for projected in subject.held_out[: job.examples]
    ]


def _all_finite(subject: Subject) -> bool:
    return all(projected.finite for projected in subject.held_out)


def _details_options(chosen: MeasureConfig) -> dict[str, Any]:
    """What masks, pursuit and attention of the page follow: the settings of their measures."""
    configs = {part.name: part.config for part in reversed(chosen.parts.values())}
    options: dict[str, Any] = {}
    if words := configs.get("embedding"):
        options |= {"rule": words.threshold, "steps": words.pursuit_steps}
    if attention := configs.get("attention"):
        options |= {"asker": attention.query, "instruction": attention.instruction}
    return options


def _join_examples(
    labels: Sequence[str], shown: Sequence[Sequence[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Each sample once, with the maps and details of all labels; none where a label has none."""
    if not all(shown):
        return []
    return [
        {
            **{key: value for key, value in of_sample[0].items() if key not in ("map", "details")},
            "token_maps": _by_label(labels, of_sample, "map"),
            "token_details": _by_label(labels, of_sample, "details"),
        }
        for of_sample in zip(*shown, strict=True)
    ]


def _by_label(labels: Sequence[str], of_sample: Sequence[dict[str, Any]], key: str) -> Any:
    return {label: one[key] for label, one in zip(labels, of_sample, strict=True)}
