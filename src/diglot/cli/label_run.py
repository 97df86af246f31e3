"""What `diglot label` does once its options are read; this loads the model libraries."""

import json as json_text
import logging
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table

from diglot.cli.console import open_console
from diglot.cli.label_like import check_patches, follow_stage, view_of_stage
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.core.progress import Report
from diglot.data.checks.box_units import warn_of_boxes
from diglot.data.labels import WORDS, open_labels, read_labels_manifest
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import replace_text
from diglot.synth.config import EngineName
from diglot.synth.engines.choose import count_workers
from diglot.synth.patch_labels.config import LabellerPart
from diglot.synth.patch_labels.labeller import Labeller
from diglot.synth.patch_labels.run import label_dataset

log = logging.getLogger(__name__)

SHOWN_IMAGES = 256


def run_label(
    *,
    data: Path,
    out: Path,
    labeller: LabellerPart,
    split: str,
    like: list[str] | None,
    engine: EngineName,
    workers: int | None,
    json: Path | None,
) -> None:
    """Give every patch of every image the words that fit it best."""
    stage = view_of_stage(like) if like else None
    if stage:
        labeller = follow_stage(labeller, stage)
    labeller.check()
    if workers is not None and workers < 0:
        raise ConfigError("below 0", got=workers, where="workers")
    dataset = open_dataset(data, split)
    if labeller.name == "regions":  # others read no box
        warn_of_boxes(data, split)
    rejected = Rejected(out / REJECTED)
    with show_progress() as report:
        label_dataset(
            dataset,
            _build_labeller(labeller, stage, dataset, out, rejected, report),
            out,
            rejected,
            report,
            part=labeller,
            engine=engine,
            workers=count_workers(workers),
        )
    summary = _summarise_labels(dataset, out, rejected) | read_labels_manifest(out)["about"]
    _show_summary(summary)
    if not summary["patches with a label"]:
        log.warning("no patch has a label: %s", _explain_none(out))
    if json:
        replace_text(json, json_text.dumps(summary, indent=2) + "\n")


def _explain_none(out: Path) -> str:
    words = (out / WORDS).read_text("utf-8").count("\n")
    if words < 2:
        return f"{words} word can be used; a longer list gives each patch a choice"
    return f"none of the {words:,} words scores above 0, or no region covers half of a patch"


def _build_labeller(
    part: LabellerPart,
    stage: Preprocess | None,
    dataset: Dataset,
    out: Path,
    rejected: Rejected,
    report: Report,
) -> Labeller:
    made: Labeller = part.build(dataset=dataset, folder=out, rejected=rejected, report=report)
    if stage:
        check_patches(made, stage)
    return made


def _summarise_labels(dataset: Dataset, out: Path, rejected: Rejected) -> dict[str, Any]:
    """How many labels the first images have, and the commonest best ones."""
    labels = open_labels(out, dataset)
    patches = labelled = 0
    best: Counter[str] = Counter()
    for index in range(min(SHOWN_IMAGES, len(dataset))):
        try:
            rows = labels[index].words
        except DataError:  # rejected
            continue
        patches += len(rows)
        labelled += sum(bool(row) for row in rows)
        best.update(row[0] for row in rows if row)
    return {
        "out": str(out),
        "samples": len(dataset),
        "rejected": rejected.counts,
        "patches with a label": labelled / max(patches, 1),
        "different best labels": len(best),
        "commonest": list(islice((word for word, _ in best.most_common()), 10)),
    }


def _show_summary(summary: dict[str, Any]) -> None:
    table = Table(show_header=False)
    for name, value in summary.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        shown = f"{text:.1%}" if isinstance(text, float) else str(text)
        table.add_row(name, shown)
    open_console().print(table)
