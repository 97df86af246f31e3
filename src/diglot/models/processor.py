"""What turns a record into a model's inputs: token grids, pixels and token ids, without weights.

A data loader's worker holds it in place of the model, so it can be pickled.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid, View
from diglot.core.merging import Merging, Unshuffle
from diglot.core.preprocess import Preprocess
from diglot.core.types import Sample, SizeHW
from diglot.data.features import sample_pictures
from diglot.models.encoder import RGB, Resample
from diglot.models.marks import check_marks, mark_ids
from diglot.models.tiling import view_pixels


@dataclass(frozen=True, kw_only=True)
class PixelScale:
    """How an encoder wants its pixels."""

    mean: RGB
    std: RGB
    resample: Resample


@dataclass(frozen=True, kw_only=True)
class ViewProcessor:
    """From pictures to an encoder's views and grids: the part that no language model decides on."""

    preprocess: Preprocess
    pixel_scale: PixelScale
    patch_px: int
    """Side of the square of pixels behind one feature of the encoder."""
    merging: Merging
    """The projector's geometry."""

    def feature_grid(self, size_hw: SizeHW) -> TokenGrid:
        """The cells of the encoder's features, before the projector merges any."""
        # native resolution rounds to whole merged cells
        merged = self.preprocess.token_grid(
            size_hw, patch_px=self.patch_px, unshuffle=self.merging.multiple
        )
        return replace(merged, views=tuple(map(self._unmerge_view, merged.views)), lines=())

    def _unmerge_view(self, view: View) -> View:
        rows, columns = (side * self.merging.multiple for side in view.grid_hw)
        return replace(view, grid_hw=(rows, columns), cell_px=self.patch_px)

    def merged_grid(self, size_hw: SizeHW) -> TokenGrid:
        """The cells of the visual tokens, without marks between views.

        Raises ConfigError for anyres with a projector whose tokens do not join to rows.
        """
        if isinstance(self.merging, Unshuffle):
            factor = self.merging.factor
            return self.preprocess.token_grid(size_hw, patch_px=self.patch_px, unshuffle=factor)
        if self.preprocess.mode == "anyres":
            raise ConfigError(
                "anyres joins the tokens of tiles to rows, and this projector's do not join",
                expected="a projector that keeps or unshuffles the grid",
                where="preprocess.mode",
            )
        grid = self.feature_grid(size_hw)
        return replace(grid, views=tuple(map(self.merging.merge_view, grid.views)))

    def picture_views(self, picture: Image.Image) -> tuple[torch.Tensor, ...]:
        """Normalised pixels float32 (3, H, W) of every view of one picture."""
        grid = self.merged_grid((picture.height, picture.width))
        return tuple(view_pixels(picture, grid.views, self.pixel_scale))

    def sample_views(self, sample: Sample) -> tuple[torch.Tensor, ...]:
        """Pixels of every view of all of a sample's images. Raises DataError for a bad picture."""
        return tuple(
            view for picture in sample_pictures(sample) for view in self.picture_views(picture)
        )


@dataclass(frozen=True, kw_only=True)
class Processor(ViewProcessor):
    """Preprocess, tokenizer and the geometry of encoder and projector."""

    tokenizer: PreTrainedTokenizerFast
    max_length: int
    """The most tokens that the language model reads."""

    def token_grid(self, size_hw: SizeHW) -> TokenGrid:
        """The cells of the visual tokens of an image of this size."""
        grid = self.merged_grid(size_hw)
        if self.preprocess.marks is None:
            return grid
        return replace(grid, marks=mark_ids(self.preprocess.marks, grid.views, self.tokenizer))

    def token_grids(self, sample: Sample) -> tuple[TokenGrid, ...]:
        """The token grid of each of a sample's images."""
        return tuple(map(self.token_grid, sample.sizes_hw))


def make_view_processor(encoder: Any, merging: Merging, preprocess: Preprocess) -> ViewProcessor:
    """The processor of an encoder before a projector of this geometry."""
    return ViewProcessor(**_view_parts(encoder, merging, preprocess))


def _view_parts(encoder: Any, merging: Merging, preprocess: Preprocess) -> dict[str, Any]:
    scale = PixelScale(mean=encoder.mean, std=encoder.std, resample=encoder.resample)
    return {
        "preprocess": preprocess,
        "pixel_scale": scale,
        "patch_px": encoder.patch_px,
        "merging": merging,
    }


def make_processor(
    encoder: Any,
    merging: Merging,
    preprocess: Preprocess,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
) -> Processor:
    """The processor of a model's parts. Raises ConfigError for marks that cannot be kept."""
    if preprocess.marks:
        check_marks(preprocess.marks, tokenizer)
    parts = _view_parts(encoder, merging, preprocess)
    return Processor(tokenizer=tokenizer, max_length=max_length, **parts)
