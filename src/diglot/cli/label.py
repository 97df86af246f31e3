"""`diglot label`: words for every patch of every image of a dataset."""

import json as json_text
import logging
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Report
from diglot.data.labels import open_labels
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.files import replace_text
from diglot.synth.patch_labels.calibration import calibrate
from diglot.synth.patch_labels.embedded import EmbeddedTowers
from diglot.synth.patch_labels.labeller import Labeller
from diglot.synth.patch_labels.regions import RegionLabeller
from diglot.synth.patch_labels.run import first_usable, label_dataset
from diglot.synth.patch_labels.towers import Family, Patch, load_towers
from diglot.synth.patch_labels.word_labeller import WordLabeller
from diglot.synth.patch_labels.word_vectors import WordVectors
from diglot.synth.words.listed import Listed
from diglot.synth.words.word_list import read_word_list

log = logging.getLogger(__name__)

CALIBRATION_IMAGES, SHOWN_IMAGES = 64, 256
By = Literal["embedded", "regions", "clip", "siglip", "siglip2"]


def label(
    data: Path,
    *,
    out: Path,
    labeller: By,
    split: str = "train",
    words: Path | None = None,
    path: str | None = None,
    revision: str | None = None,
    keep: int = 10,
    sign: Literal["auto", "1", "-1"] = "auto",
    centre: bool | None = None,
    patch: Patch = "token",
    template: str = "{}",
    json: Path | None = None,
) -> None:
    """Give every patch of every image the words that fit it best: labels for token_contrastive.

    A patch's score for a word is sign * cosine of their vectors under a pair of image and text
    towers; the best ones above 0 are kept, beside the dataset, in shards like its own. They can
    train any encoder: a stage maps them onto its own grid through the image.

    A run that was stopped resumes when the same command is given again.

    Examples:
        diglot words data/scenes --out data/words.tsv

        diglot label data/scenes --labeller embedded --out data/labels

        diglot label data/scenes --labeller clip --path openai/clip-vit-large-patch14-336 \\
            --words data/words.tsv --out data/labels_clip

        diglot train --config embedded/sea --data data/scenes --labels data/labels --out runs/sea

    Args:
        data: Dataset folder.
        out: Folder of the labels.
        labeller: embedded = EfficientNet-Lite0 and the names of ImageNet's classes; clip, siglip,
            siglip2 = towers of a checkpoint; regions = the names of the regions that the records
            know already, without a model: what a perfect labeller would give.
        split: Which split of the dataset.
        words: Word list of `diglot words`. Towers need one; embedded keeps to it if it is given.
        path: Checkpoint of clip, siglip or siglip2: a local folder or a hub id.
        revision: Git revision of a hub id.
        keep: n, so many words of a patch are kept.
        sign: auto = what agrees better with known regions, else the paper's: -1 for CLIP, +1 else.
        centre: Take the mean patch of the first images and the mean word off before the cosine. Not
            in the paper; it helps embedded (drawing a right label more often), the default there.
        patch: token = a patch's token of the last layer; value = its value there, attention left
            out (MaskCLIP). Of clip, siglip and siglip2.
        template: Text around a word for the text tower, where {} stands.
        json: Write the summary to this file too.
    """
    if keep < 1:
        raise ConfigError("must be at least 1", got=keep, where="keep")
    dataset = open_dataset(data, split)
    rejected = Rejected(out / "rejected.jsonl")
    listed = None if words is None else Listed(read_word_list(words))
    with show_progress() as report:
        if labeller == "regions":
            made: Labeller = RegionLabeller(dataset, keep=keep)
        else:
            if labeller == "embedded":
                made = _embedded(listed, keep)
            else:
                checkpoint = _Checkpoint(labeller, path, revision, template, patch)
                made = _towers(checkpoint, listed, keep, out, report)
            calibrate(
                made,
                out,
                lambda: first_usable(dataset, CALIBRATION_IMAGES, rejected),
                sign=None if sign == "auto" else int(sign),
                centre=labeller == "embedded" if centre is None else centre,
            )
        label_dataset(dataset, made, out, rejected, report)
    summary = _summary(dataset, out, rejected) | dict(made.about)
    _show(summary)
    if not summary["patches with a label"]:
        log.warning("no patch has a label: every score is 0 or less (try the other --sign)")
    if json:
        replace_text(json, json_text.dumps(summary, indent=2) + "\n")


@dataclass(frozen=True)
class _Checkpoint:
    """The towers to load, and how they are used."""

    family: Family
    path: str | None
    revision: str | None
    template: str
    patch: Patch


def _embedded(listed: Listed | None, keep: int) -> WordLabeller:
    pair = EmbeddedTowers(known=listed)
    pair.encoder.to(_device())
    vectors = pair.vectors().to(_device())
    return WordLabeller(
        encoder=pair.encoder,
        patches=pair.patches,
        words=pair.names,
        pieces=lambda: [(0, vectors)],
        keep=keep,
        sign=1,
        about={"labeller": "embedded", "revision": pair.encoder.revision, "keep": keep},
    )


def _towers(
    checkpoint: _Checkpoint, listed: Listed | None, keep: int, out: Path, report: Report
) -> WordLabeller:
    family, path, revision = checkpoint.family, checkpoint.path, checkpoint.revision
    template, patch = checkpoint.template, checkpoint.patch
    if listed is None or path is None:
        raise ConfigError(
            f"{family} needs a checkpoint and a word list",
            where="path, words",
            fix="Make a list: diglot words.",
        )
    towers = load_towers(family, path, revision=revision, template=template, patch=patch)
    towers.model.to(_device())
    key = f"{path} {revision} {towers.encoder.revision} {template}"
    kept = WordVectors(out / "vectors", listed, towers.width, key=key)
    kept.build(towers.words, report)
    about = {"labeller": family, "path": path, "revision": towers.encoder.revision}
    return WordLabeller(
        encoder=towers.encoder,
        patches=towers.patches,
        words=listed,
        pieces=lambda: kept.pieces(towers.device),
        keep=keep,
        sign=1,
        about={**about, "template": template, "patch": patch, "keep": keep},
    )


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _summary(dataset: Dataset, out: Path, rejected: Rejected) -> dict[str, Any]:
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


def _show(summary: dict[str, Any]) -> None:
    table = Table(show_header=False)
    for name, value in summary.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        shown = f"{text:.1%}" if isinstance(text, float) else str(text)
        table.add_row(name, shown.replace("[", r"\["))
    Console().print(table)
