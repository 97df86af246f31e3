"""EfficientNet-Lite0 as a pair of towers: its classifier's rows are word vectors (embedded models).

A row of the classifier is what the mean of an image's features is compared with, so it lies in the
space of the features of patches; its word is the first of its class's names in the word list.
"""

from collections.abc import Container, Sequence

import torch
from torch.nn.functional import normalize

from diglot.core.errors import ConfigError
from diglot.embedded.imagenet_names import imagenet_names
from diglot.models.encoders.efficientnet_lite0 import Config, EfficientNetLite0, build


class EmbeddedTowers:
    """Vectors of patches and of ImageNet's class names, all of length 1."""

    def __init__(self, *, known: Container[str] | None, image_px: int = 448) -> None:
        """`known`: only classes with a name in it. Raises ConfigError where there is none."""
        self.encoder: EfficientNetLite0 = build(Config(image_px=image_px))
        names = _words(imagenet_names(), known)
        if not names:
            raise ConfigError("no class of ImageNet has a name in the word list", where="words")
        self.names = list(names)
        rows, _ = self.encoder.classifier_rows()
        self._rows_WC = normalize(rows[list(names.values())].float(), dim=-1)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.encoder.parameters()).device

    def vectors(self) -> torch.Tensor:
        """(W, C) of `names`, in their order."""
        return self._rows_WC

    @torch.no_grad()
    def patches(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """(V, h, w, C)."""
        return normalize(self.encoder(pixels_V3HW.to(self.device)).float(), dim=-1)


def _words(names: Sequence[tuple[str, ...]], known: Container[str] | None) -> dict[str, int]:
    """Word -> class, each word and each class once."""
    words: dict[str, int] = {}
    for number, synonyms in enumerate(names):
        usable = [w for w in synonyms if w not in words and (known is None or w in known)]
        if usable:
            words[usable[0]] = number
    return words
