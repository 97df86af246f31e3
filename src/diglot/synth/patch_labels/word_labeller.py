"""Labels by a pair of towers: a patch has the words whose vectors are nearest to it (SEA 3.1)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import normalize

from diglot.core.preprocess import Mode, Preprocess
from diglot.core.types import Sample
from diglot.models.encoder import Encoder
from diglot.models.tiling import view_pixels
from diglot.synth.patch_labels.labeller import PatchWords
from diglot.synth.patch_labels.word_scores import best_words


@dataclass(frozen=True, kw_only=True)
class Centre:
    """The means that are taken off before the cosine: what all patches, and all words, share.

    Not in SEA. A ReLU's features share a large part, which does not depend on what the image shows.
    """

    patch_C: torch.Tensor
    word_C: torch.Tensor

    def of_patches(self, vectors: torch.Tensor) -> torch.Tensor:
        """Centred and of length 1 again, (..., C)."""
        return normalize(vectors - self.patch_C.to(vectors), dim=-1)

    def of_words(self, vectors: torch.Tensor) -> torch.Tensor:
        """Centred and of length 1 again, (..., C), float32."""
        return normalize(vectors.float() - self.word_C.to(vectors.device), dim=-1)


@dataclass(kw_only=True)
class WordLabeller:
    """The `keep` best words of each patch; words of a score of 0 or less are dropped."""

    encoder: Encoder
    patches: Callable[[torch.Tensor], torch.Tensor]  # pixels (V, 3, H, W) to (V, h, w, C), length 1
    words: Iterable[str]
    pieces: Callable[[], Iterable[tuple[int, torch.Tensor]]]  # the words' vectors, piece by piece
    keep: int
    sign: int
    about: Mapping[str, Any]
    centre: Centre | None = None
    mode: Mode = "squash"

    @property
    def preprocess(self) -> Preprocess:
        """One view of the image, of the encoder's own size."""
        return Preprocess(mode=self.mode, image_px=self.encoder.image_px)

    @property
    def patch_px(self) -> int:
        """Side of a patch, in the encoder's pixels."""
        return self.encoder.patch_px

    def vectors_of(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """The patches of several pictures, (pictures, patches, C)."""
        pixels = []
        for picture in pictures:
            size_hw = (picture.height, picture.width)
            grid = self.preprocess.token_grid(size_hw, patch_px=self.patch_px)
            pixels += view_pixels(picture, grid.views, self.encoder)
        vectors = self.patches(torch.stack(pixels)).flatten(1, 2)
        return vectors if self.centre is None else self.centre.of_patches(vectors)

    def word_pieces(self) -> Iterator[tuple[int, torch.Tensor]]:
        """(number of the first word, vectors (W, C)) of all words, piece after piece."""
        for first, piece in self.pieces():
            yield first, piece if self.centre is None else self.centre.of_words(piece)

    def label(self, samples: Sequence[Sample], pictures: Sequence[Image.Image]) -> list[PatchWords]:
        """The best words of each image's patches."""
        vectors = self.vectors_of(pictures)
        numbers, scores = best_words(
            vectors.flatten(0, 1), self.word_pieces(), keep=self.keep, sign=self.sign
        )
        per_image = (len(pictures), vectors.shape[1], -1)
        number_lists = numbers.reshape(per_image).tolist()
        score_lists = scores.reshape(per_image).tolist()
        return [_above_zero(n, s) for n, s in zip(number_lists, score_lists, strict=True)]


def _above_zero(numbers: list[list[int]], scores: list[list[float]]) -> PatchWords:
    kept = [sum(score > 0 for score in row) for row in scores]
    return PatchWords(
        [row[:n] for row, n in zip(numbers, kept, strict=True)],
        [row[:n] for row, n in zip(scores, kept, strict=True)],
    )
