"""What labels the patches of images: known regions, or a pair of image and text towers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from diglot.core.preprocess import Preprocess
from diglot.core.types import Sample


@dataclass(frozen=True)
class PatchWords:
    """The labels of one image: per patch the words' numbers and scores, best first."""

    words: Sequence[Sequence[int]]
    scores: Sequence[Sequence[float]]


class Labeller(Protocol):
    """Gives every patch of an image words of a list."""

    @property
    def words(self) -> Iterable[str]:
        """The list; labels are numbers in it."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the labelled grid."""
        ...

    @property
    def patch_px(self) -> int:
        """Side of a patch, in pixels of that grid."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """All that its labels depend on, as JSON."""
        ...

    def label(self, samples: Sequence[Sample], pictures: Sequence[Image.Image]) -> list[PatchWords]:
        """The labels of several images."""
        ...
