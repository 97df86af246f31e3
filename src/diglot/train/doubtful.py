"""Warnings before step 0, where a run works but cannot mean what was asked."""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from diglot.config.parts import as_plain
from diglot.config.read import flatten_settings
from diglot.core.errors import ConfigError, DataError
from diglot.data.checks.box_units import warn_of_boxes
from diglot.models.checkpoint import CONFIG, load_config
from diglot.models.config import VLMConfig
from diglot.train.config import StageConfig
from diglot.train.datasets import RunDataset, TrainingData
from diglot.train.mixture import Mixture
from diglot.train.order import Order

log = logging.getLogger(__name__)

LABELLED = 4096  # in which a label is sought


def warn_of_doubts(
    config: StageConfig, data: TrainingData, objective: Mixture, order: Order
) -> None:
    """Log what of a stage is probably a mistake. Raises ConfigError for labels that are none."""
    _check_steps(config, order)
    _check_labels(data.sources, objective)
    for source in data.sources:
        warn_of_boxes(source.dataset.folder, source.dataset.split)
    _check_start(config.start_from, config.model, of="projector")
    _check_start(config.start_language, config.model, of="language model")


def _check_steps(config: StageConfig, order: Order) -> None:
    if order.steps == 1 and config.max_steps != 1:
        log.warning(
            "one optimizer step in all: %d documents, %d a step. Set a smaller global_batch or "
            "more epochs",
            order.documents,
            config.global_batch,
        )


def warn_of_short_rows(row_tokens: int, record_tokens: int) -> None:
    """Log that rows hold no record: whoever sets the length so may expect records to be cut."""
    if record_tokens > row_tokens:
        log.warning(
            "row_tokens is %d and a record has %d: records are not cut, each such has a row of "
            "its own. Leave row_tokens at its default, or set it to several records' length",
            row_tokens,
            record_tokens,
        )


def _check_labels(sources: Sequence[RunDataset], objective: Mixture) -> None:
    """Labels that nothing reads, and labels of no patch."""
    given = [source for source in sources if source.labels is not None]
    if not given:
        return
    if not any(getattr(m.objective, "reads_labels", False) for m in objective.members):
        log.warning("labels are given, but no objective reads them; token_contrastive would")
        return
    for source in given:
        if not _has_label(source):
            raise ConfigError(
                f"no patch of the first {min(LABELLED, source.records):,} images has a label: "
                "nothing would be learned",
                where="labels",
                fix="Label again with a longer list of words.",
            )


def _has_label(source: RunDataset) -> bool:
    assert source.labels is not None
    for index in islice(range(source.records), LABELLED):
        try:
            if any(source.labels[index].words):
                return True
        except DataError:  # an image that could not be labelled
            continue
    return False


def _check_start(start: str | None, now: VLMConfig, *, of: str) -> None:
    """A projector reads the features of the encoder that it was trained behind, and no others;
    whole weights of a language model belong to its tokenizer.
    """
    if not start or not (Path(start) / CONFIG).is_file():
        return
    here, there = (_describe_parts(model) for model in (now, load_config(Path(start))))
    changed = [name for name in sorted(here | there) if here.get(name) != there.get(name)]
    if of == "language model":
        changed = [name for name in changed if not name.startswith("encoder")]
    for name in changed[:1]:
        log.warning(
            "the %s of %s was trained with another %s: %s there, %s here",
            of,
            start,
            name,
            there.get(name),
            here.get(name),
        )


def _describe_parts(model: VLMConfig) -> dict[str, Any]:
    """What a projector is trained between; folders by their names, as they may have been moved.

    Sizes may change from stage to stage, and so may the number format of the language model.
    """
    if model.stock:
        return {"stock model": Path(model.stock).name}
    language = {"path": model.language.path, "revision": model.language.revision}
    settings = flatten_settings({"encoder": as_plain(model.encoder), "language": language})
    return {
        name: Path(value).name if name.endswith(".path") else value
        for name, value in settings.items()
        if not name.endswith("_px")
    }
