"""EfficientNet-Lite0 as a pair of towers: its classifier's rows are word vectors (embedded models).

A row of the classifier is what the mean of an image's features is compared with, so it lies in the
space of the features of patches. Without a word list, each class has one word, the first of its
names. A word of a list stands for every class that has it as a name, or a name that ends in it (a
"tabby cat" is a cat), by the mean of their rows; words that name no class are left out. The rule
reads English alone: it knows nothing of kinds (no beagle is a dog), and takes a hot dog for one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import normalize

from diglot.config.ranges import PositiveInt
from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.embedded.imagenet_names import imagenet_names
from diglot.models.encoders import efficientnet_lite0
from diglot.synth.device import find_device
from diglot.synth.patch_labels.labellers._nearest_words import (
    NearestWordsConfig,
    calibrate_labeller,
    read_words,
)
from diglot.synth.patch_labels.word_labeller import WordLabeller


@dataclass(frozen=True, kw_only=True)
class Config(NearestWordsConfig):
    """Options of the labeller; without `words`, the names of ImageNet's classes are the list."""

    centre: bool = True
    """Take the mean patch of the first images and the mean word off before the cosine. Not in the
    paper; with this encoder a right label is drawn more often."""
    image_px: PositiveInt = 448
    """Side of a view in pixels; a patch has 32."""


def build(
    config: Config, *, dataset: Dataset, folder: Path, rejected: Rejected, report: Report
) -> WordLabeller:
    """The labeller. Raises ConfigError where no word of the list names a class."""
    pair = EmbeddedTowers(known=read_words(config), image_px=config.image_px)
    pair.encoder.to(find_device())
    vectors = pair.vectors().to(find_device())
    labeller = WordLabeller(
        encoder=pair.encoder,
        patches=pair.patches,
        words=pair.names,
        pieces=lambda: [(0, vectors)],
        keep=config.keep,
        sign=1,
        mode=config.preprocess,
        about={"labeller": "embedded", "revision": pair.encoder.revision, "keep": config.keep},
    )
    return calibrate_labeller(labeller, config, dataset, folder, rejected)


class EmbeddedTowers:
    """Vectors of patches and of ImageNet's class names, all of length 1."""

    def __init__(self, *, known: Iterable[str] | None, image_px: int = 448) -> None:
        """`known`: the word list, if any. Raises ConfigError where none of it names a class."""
        self.encoder = efficientnet_lite0.build(efficientnet_lite0.Config(image_px=image_px))
        classes = imagenet_names()
        words = first_names(classes) if known is None else listed_names(classes, known)
        if not words:
            raise ConfigError("no class of ImageNet has a name in the word list", where="words")
        self.names = list(words)
        rows, _ = self.encoder.classifier_rows()
        means = [normalize(rows[numbers].float(), dim=-1).mean(dim=0) for numbers in words.values()]
        self._rows_WC = normalize(torch.stack(means), dim=-1)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.encoder.parameters()).device

    def vectors(self) -> torch.Tensor:
        """(W, C) of `names`, in their order."""
        return self._rows_WC

    @torch.no_grad()
    def patches(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """Unit vectors of every patch, float32 (V, h, w, C)."""
        return normalize(self.encoder(pixels_V3HW.to(self.device)).float(), dim=-1)


def first_names(names: Sequence[tuple[str, ...]]) -> dict[str, list[int]]:
    """Word -> its class: the first of each class's names that no class before it took."""
    words: dict[str, list[int]] = {}
    for number, synonyms in enumerate(names):
        free = [word for word in synonyms if word not in words]
        if free:
            words[free[0]] = [number]
    return words


def listed_names(names: Sequence[tuple[str, ...]], listed: Iterable[str]) -> dict[str, list[int]]:
    """Word of the list -> the classes it names, in the list's order; whatever the case."""
    classes: dict[str, list[int]] = {}
    for number, synonyms in enumerate(names):
        ends = {end for word in synonyms for end in _list_endings(word.lower())}
        for end in sorted(ends):
            classes.setdefault(end, []).append(number)
    return {word: classes[word.lower()] for word in listed if word.lower() in classes}


def _list_endings(name: str) -> list[str]:
    """ "hot air balloon" gives itself, "air balloon" and "balloon"."""
    parts = name.split(" ")
    return [" ".join(parts[first:]) for first in range(len(parts))]
