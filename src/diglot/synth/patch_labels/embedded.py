"""EfficientNet-Lite0 as a pair of towers: its classifier's rows are word vectors (embedded models).

A row of the classifier is what the mean of an image's features is compared with, so it lies in the
space of the features of patches. Without a word list, each class has one word, the first of its
names. A word of a list stands for every class that has it as a name, or a name that ends in it (a
"tabby cat" is a cat), by the mean of their rows; words that name no class are left out. The rule
reads English alone: it knows nothing of kinds (no beagle is a dog), and takes a hot dog for one.
"""

from collections.abc import Iterable, Sequence

import torch
from torch.nn.functional import normalize

from diglot.core.errors import ConfigError
from diglot.embedded.imagenet_names import imagenet_names
from diglot.models.encoders.efficientnet_lite0 import Config, EfficientNetLite0, build


class EmbeddedTowers:
    """Vectors of patches and of ImageNet's class names, all of length 1."""

    def __init__(self, *, known: Iterable[str] | None, image_px: int = 448) -> None:
        """`known`: the word list, if any. Raises ConfigError where none of it names a class."""
        self.encoder: EfficientNetLite0 = build(Config(image_px=image_px))
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
        ends = {end for word in synonyms for end in _ends(word.lower())}
        for end in sorted(ends):
            classes.setdefault(end, []).append(number)
    return {word: classes[word.lower()] for word in listed if word.lower() in classes}


def _ends(name: str) -> list[str]:
    """ "hot air balloon" gives itself, "air balloon" and "balloon"."""
    parts = name.split(" ")
    return [" ".join(parts[first:]) for first in range(len(parts))]
