"""What is tried before any job begins: a record by every row, no held-out picture in training."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.labels import open_labels
from diglot.data.records import Dataset
from diglot.measure.groups import check_apart, group_of
from diglot.models.config import VLMConfig
from diglot.models.vlm import VLM, build_vlm
from diglot.studies.compare.rows import StudyRow
from diglot.train.config import StageConfig, check_start
from diglot.train.datasets import RunDataset, TrainingData
from diglot.train.lanes import lanes_of_one
from diglot.train.mixture import build_mixture
from diglot.train.run_model import load_start
from diglot.train.samples import PreparedSamples, try_records

log = logging.getLogger(__name__)


def check_rows(
    rows: Sequence[StudyRow], training: Dataset, conversations: Dataset | None = None
) -> None:
    """Raises ConfigError for a row with a model, labels or objectives that cannot work.

    Every different model is built once, and again for a stage that starts from other weights; every
    row's objectives prepare a record with it, those of the second stage one of the conversations.
    """
    by_model: list[tuple[VLMConfig, list[StudyRow]]] = []
    for row in rows:
        alike = next((found for model, found in by_model if model == row.stage.model), None)
        if alike is None:
            by_model.append((row.stage.model, [row]))
        else:
            alike.append(row)
    for model, alike in by_model:
        with _name_row(alike[0]):
            vlm = build_vlm(model)
        for row in alike:
            with _name_row(row), _own_mistakes_left(row):
                _try_record(row.stage, vlm, training)
                if row.second and conversations:
                    _try_record(row.second, vlm, conversations)


@contextlib.contextmanager
def _name_row(row: StudyRow) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error), where=f"rows.{row.label}") from error


@contextlib.contextmanager
def _own_mistakes_left(row: StudyRow) -> Iterator[None]:
    """A user's own part may fail as it likes: its run reports it, and the other rows run."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        log.warning("row %s will fail: %s: %s", row.label, type(error).__name__, error)


def _try_record(stage: StageConfig, vlm: VLM, training: Dataset) -> None:
    """Prepare the first record by every objective. A bad record does not fail the row."""
    if stage.start_from or stage.start_language:
        check_start("start_language", stage.start_language)
        vlm = build_vlm(stage.model)  # its own: what is put into it is not the other rows'
        load_start(vlm, stage)
    labels = open_labels(Path(stage.labels), training) if stage.labels else None
    objective = build_mixture(stage.objective, stage.plus, stage.mix)
    objective.adopt_template(vlm.language)
    data = TrainingData([RunDataset(training, labels)])
    samples = PreparedSamples(data, vlm.processor, objective, stage.seed)
    try_records(samples, lanes_of_one(1, objective.shares))


def check_scenes_apart(held_out: Dataset, training: Dataset) -> None:
    """Training records are read only where there is something that they must not show."""
    samples = list(_without_pictures(held_out))
    if any(group_of(r.source).startswith("unseen") for sample in samples for r in sample.regions):
        check_apart(samples, list(_without_pictures(training)))


def _without_pictures(dataset: Dataset) -> Iterator[Sample]:
    """The records that can be read: the others are rejected when they are read."""
    for index in range(len(dataset)):
        with contextlib.suppress(DataError):
            sample = dataset[index]
            yield replace(sample, images=(b"",) * len(sample.images))
