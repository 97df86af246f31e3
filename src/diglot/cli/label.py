"""`diglot label`: words for every patch of every image of a dataset."""

import json as json_text
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from diglot.cli.progress import Tell, bars
from diglot.core.errors import ConfigError, DataError
from diglot.data.labels import open_labels
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.data.shards import replace_text
from diglot.label.embedded import EmbeddedTowers
from diglot.label.labeller import Labeller
from diglot.label.listed import Listed
from diglot.label.regions import RegionLabeller
from diglot.label.run import first_usable, label_dataset
from diglot.label.sign import choose_sign
from diglot.label.towers import load_towers
from diglot.label.word_labeller import WordLabeller
from diglot.label.word_list import read_word_list
from diglot.label.word_vectors import WordVectors

SIGN_IMAGES, SHOWN_IMAGES = 64, 256
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
    template: str = "{}",
    json: Path | None = None,
) -> None:
    """Give every patch of every image the words that fit it best: labels for token_contrastive.

    A patch's score for a word is sign * cosine of their vectors under a pair of image and text
    towers; the best ones above 0 are kept, beside the dataset, in shards like its own. They can
    train any encoder: a stage maps them onto its own grid through the image.

    A run that was stopped goes on where it was when the same command is given again.

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
        template: Text around a word for the text tower, where {} stands.
        json: Write the summary to this file too.
    """
    if keep < 1:
        raise ConfigError("must be at least 1", got=keep, where="keep")
    dataset = open_dataset(data, split)
    rejected = Rejected(out / "rejected.jsonl")
    told = {"keep": keep, "template": template}
    with bars() as tell:
        made = _labeller(labeller, dataset, rejected, words, path, revision, sign, told, out, tell)
        label_dataset(dataset, made, out, rejected, lambda d, t: tell("images", d, t, ""))
    summary = _summary(dataset, out, rejected) | dict(made.about)
    _show(summary, out)
    if json:
        replace_text(json, json_text.dumps(summary, indent=2) + "\n")


def _labeller(
    by: By,
    dataset: Dataset,
    rejected: Rejected,
    words: Path | None,
    path: str | None,
    revision: str | None,
    sign: str,
    told: dict[str, Any],
    out: Path,
    tell: Tell,
) -> Labeller:
    if by == "regions":
        return RegionLabeller(dataset, keep=told["keep"])
    listed = None if words is None else Listed(read_word_list(words))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if by == "embedded":
        known = None if listed is None else set(listed)
        pair = EmbeddedTowers(known=known)
        pair.encoder.to(device)
        vectors = pair.vectors()
        made = _word_labeller(pair, pair.names, lambda: [(0, vectors)], told)
        made.about = {"labeller": by, "revision": pair.encoder.revision, **told}
    else:
        if listed is None or path is None:
            raise ConfigError(
                f"{by} needs a checkpoint and a word list",
                where="path, words",
                fix="Make a list: diglot words.",
            )
        towers = load_towers(by, path, revision=revision, template=told["template"])
        towers.model.to(device)
        key = f"{path} {revision} {towers.encoder.revision} {told['template']}"
        kept = WordVectors(out / "vectors", listed, towers.width, key=key)
        kept.build(towers.words, lambda d, t: tell("words", d, t, ""))
        made = _word_labeller(towers, listed, kept.pieces, told)
        made.about = {"labeller": by, "path": path, "revision": towers.encoder.revision, **told}
    if sign != "auto":
        made.sign = int(sign)
        made.about = {**made.about, "sign": made.sign}
        return made
    seen = first_usable(dataset, SIGN_IMAGES, rejected)
    chosen = choose_sign(made, [s for s, _ in seen], [p for _, p in seen], by)
    made.sign = chosen.value
    made.about = {**made.about, "sign": chosen.value, "why": chosen.told()}
    return made


def _word_labeller(
    pair: Any, names: Iterable[str], pieces: Callable[[], Any], told: dict[str, Any]
) -> WordLabeller:
    return WordLabeller(
        encoder=pair.encoder,
        patches=pair.patches,
        words=names,
        pieces=pieces,
        keep=told["keep"],
        sign=1,
        about={},
    )


def _summary(dataset: Dataset, out: Path, rejected: Rejected) -> dict[str, Any]:
    """How many labels the first images have, and the commonest best ones."""
    labels = open_labels(out, dataset)
    patches = labelled = 0
    best: Counter[str] = Counter()
    for index in range(min(SHOWN_IMAGES, len(dataset))):
        try:
            rows = labels[index].words
        except DataError:  # set aside
            continue
        patches += len(rows)
        labelled += sum(bool(row) for row in rows)
        best.update(row[0] for row in rows if row)
    return {
        "out": str(out),
        "samples": len(dataset),
        "set aside": rejected.counts,
        "patches with a label": labelled / max(patches, 1),
        "different best labels": len(best),
        "commonest": list(islice((word for word, _ in best.most_common()), 10)),
    }


def _show(summary: dict[str, Any], out: Path) -> None:
    table = Table(show_header=False)
    for name, value in summary.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        shown = f"{text:.1%}" if isinstance(text, float) else str(text)
        table.add_row(name, shown.replace("[", r"\["))
    Console().print(table)
