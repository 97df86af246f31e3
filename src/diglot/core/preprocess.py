"""The ways an image is prepared for an encoder, each as the views it is cut into.

Squash, center-crop (CLIP), pad (LLaVA-1.5), tiles with a thumbnail (InternVL's dynamic tiling; the
"tile-wise dynamic resolution" of MMCS section 4.1), Cohere2Vision's tiles, anyres (LLaVA-NeXT's
tiles, which MMCS cites), native resolution (Qwen2-VL), and NaFlex (SigLIP2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import Padding, TokenGrid, View, ViewKind
from diglot.core.native_sizes import naflex_size, native_size
from diglot.core.tile_grids import anyres_grid, least_upscaled_grid, tile_grid
from diglot.core.types import SizeHW
from diglot.core.view_marks import ViewMarks

# Modes that keep the aspect blow a thread-like image up to gigapixels, or beyond `max_pixels`.
# The bound is Qwen2-VL's own.
MAX_ASPECT = 200
MAX_CANVAS_PIXELS = 178_956_970  # PIL's own limit of an image
MAX_IMAGE_PX, MAX_TILES = 16_384, 1024  # beyond these it is a slip, and would fill any memory

Mode = Literal[
    "squash",
    "center_crop",
    "centre_crop",
    "pad",
    "tiles",
    "cohere_tiles",
    "anyres",
    "native",
    "naflex",
]
TILE_RULES = {"tiles": tile_grid, "cohere_tiles": least_upscaled_grid}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image becomes views. `image_px` is the side of the square the encoder was trained on.

    squash       the whole image, its aspect given up
    center_crop  shortest side to image_px, then the centre square (CLIP)
    pad          padded to a square, image centred, then resized to image_px (LLaVA-1.5)
    tiles        the grid of at most max_tiles squares closest in aspect, and a thumbnail
    cohere_tiles the grid of at most max_tiles squares that enlarges least, and a thumbnail
    anyres       the whole image squashed, then tiles of it with its aspect kept, padded with black
    native       the image's own aspect, sides rounded to whole cells (Qwen2-VL)
    naflex       the image's own aspect, as many cells as max_pixels holds (SigLIP2)
    """

    mode: Mode = "squash"
    """squash, center_crop, pad, tiles, cohere_tiles, anyres, native or naflex, as above
    ("centre_crop", as version 0.1.0 wrote it, is center_crop)."""
    image_px: int = 448
    """Side of a view in pixels; for native and naflex it has no effect."""
    max_tiles: int = 4
    """For tiles and cohere_tiles: at most so many, the thumbnail not counted."""
    thumbnail: bool = True
    """For tiles and cohere_tiles: add the whole image, squashed, as the last view if there are
    several tiles."""
    tile_grids: tuple[tuple[int, int], ...] = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
    """For anyres: the grids of tiles, [rows, columns], of which the one is taken that keeps most
    pixels and wastes least; of equals the first (LLaVA-NeXT's image_grid_pinpoints)."""
    min_pixels: int = 56 * 56
    """For native: the image is resized so that its area lies between min and max."""
    max_pixels: int = 28 * 28 * 1280
    """For native and naflex: the largest area in pixels (SigLIP2's 256 patches of 16 px: 65536)."""
    marks: ViewMarks | None = None
    """Text that the language model reads around and between an image's views, as the stock
    container writes it that is to serve the model; null = none."""

    def __post_init__(self) -> None:
        if self.mode == "centre_crop":
            object.__setattr__(self, "mode", "center_crop")
        for name in ("image_px", "max_tiles", "min_pixels", "max_pixels"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", got=getattr(self, name), where=name)
        if self.image_px > MAX_IMAGE_PX:
            raise ConfigError(
                f"must be at most {MAX_IMAGE_PX}", got=self.image_px, where="image_px"
            )
        if self.max_tiles > MAX_TILES:
            raise ConfigError(f"must be at most {MAX_TILES}", got=self.max_tiles, where="max_tiles")
        if not self.tile_grids or min(map(min, self.tile_grids)) < 1:
            raise ConfigError(
                "expected grids of at least one tile", got=self.tile_grids, where="tile_grids"
            )
        if self.min_pixels > self.max_pixels:
            raise ConfigError("min_pixels exceeds max_pixels", where="preprocess")
        if self.marks and self.mode == "anyres":
            raise ConfigError(
                "marks stand between views, and anyres joins its views to one picture",
                where="preprocess.marks",
                fix="Leave them out.",
            )

    def view_settings(self) -> dict[str, Any]:
        """All that decides on an image's views, for the keys of what is cached by them."""
        settings = asdict(self)
        del settings["marks"]  # they stand between views, and change none
        if self.mode == "tiles":
            settings["ties"] = "fewer columns first"  # version 0.1.0 had fewer rows first
        if self.mode == "pad":
            settings["order"] = "padded, then resized"  # in version 0.1.0 the other way round
        return settings

    @classmethod
    def from_view_settings(cls, settings: Mapping[str, Any]) -> "Preprocess":
        """What `view_settings` described. Raises ConfigError where it made other views then."""
        fields = {key: value for key, value in settings.items() if key not in ("ties", "order")}
        made = cls(**fields)
        now = made.view_settings()
        if any(settings.get(key) != now.get(key) for key in ("ties", "order")):
            raise ConfigError(
                f"made by version 0.1.0, whose mode {made.mode} cut images otherwise",
                fix="Make it again.",
            )
        return made

    def token_grid(self, size_hw: SizeHW, *, patch_px: int, unshuffle: int = 1) -> TokenGrid:
        """The grid of visual tokens after merging unshuffle × unshuffle encoder cells of patch_px.

        Raises ConfigError where a view's encoder grid cannot be merged evenly, and DataError for an
        image too long and thin for a mode that keeps its aspect.
        """
        if self.mode in ("center_crop", "native") and max(size_hw) > MAX_ASPECT * min(size_hw):
            raise DataError(
                f"image is too long and thin for {self.mode!r}",
                expected=f"sides within a factor of {MAX_ASPECT}",
                got=f"{size_hw[0]} x {size_hw[1]}",
            )
        plans = {
            "squash": _place_squash,
            "center_crop": _center_crop,
            "pad": _place_pad,
            "tiles": _place_tiles,
            "cohere_tiles": _place_tiles,
            "anyres": _place_anyres,
            "native": _place_native,
            "naflex": _place_naflex,
        }
        cell_px = patch_px * unshuffle
        placed = plans[self.mode](self, size_hw, cell_px)
        padding = "black" if self.mode == "anyres" else "mean"
        views = tuple(
            _with_grid(*place, padding=padding, patch_px=patch_px, unshuffle=unshuffle)
            for place in placed
        )
        if canvas := _pad_canvas(self.mode, size_hw):
            views = tuple(replace(view, canvas=canvas) for view in views)
        lines = _anyres_lines(views, size_hw) if self.mode == "anyres" else ()
        return TokenGrid(size_hw, views, lines)


Placed = tuple[SizeHW, tuple[int, int, int, int], ViewKind]  # resize_hw, window, kind


def _with_grid(
    resize_hw: SizeHW,
    window: tuple[int, int, int, int],
    kind: ViewKind,
    *,
    padding: Padding,
    patch_px: int,
    unshuffle: int,
) -> View:
    rows, columns = (window[3] - window[1]) // patch_px, (window[2] - window[0]) // patch_px
    if rows % unshuffle or columns % unshuffle or not rows or not columns:
        raise ConfigError(
            f"a grid of {rows} x {columns} encoder cells cannot be unshuffled by {unshuffle}",
            expected=f"rows and columns divisible by {unshuffle}",
            where="projector.unshuffle",
            fix=f"Choose image_px as a multiple of {patch_px * unshuffle}, or unshuffle: 1.",
        )
    return View(
        resize_hw=resize_hw,
        window=window,
        grid_hw=(rows // unshuffle, columns // unshuffle),
        cell_px=patch_px * unshuffle,
        kind=kind,
        padding=padding,
    )


def _place_squash(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    side = config.image_px
    return [((side, side), (0, 0, side, side), "image")]


def _center_crop(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    side, (height, width) = config.image_px, size_hw
    short = min(height, width)
    resize = (int(height * side / short), int(width * side / short))
    top, left = (resize[0] - side) // 2, (resize[1] - side) // 2
    return [(resize, (left, top, left + side, top + side), "image")]


def _place_pad(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    """Raises DataError for an image whose square would fill the memory."""
    side, (height, width) = config.image_px, size_hw
    long = max(height, width)
    if long**2 > MAX_CANVAS_PIXELS:
        raise DataError(
            "image is too long and thin for 'pad'",
            expected=f"a square of at most {MAX_CANVAS_PIXELS:,} pixels around it",
            got=f"{height} x {width}",
        )
    return [((side, side), (0, 0, side, side), "image")]


def _pad_canvas(mode: Mode, size_hw: SizeHW) -> tuple[int, int, int, int] | None:
    """For pad: the square around the image, in its own pixels, an odd one of padding last."""
    height, width = size_hw
    if mode != "pad" or height == width:
        return None
    long = max(height, width)
    left, top = -((long - width) // 2), -((long - height) // 2)
    return left, top, left + long, top + long


def _place_tiles(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    side, choose_grid = config.image_px, TILE_RULES[config.mode]
    rows, columns = choose_grid(size_hw, max_tiles=config.max_tiles, tile_px=side)
    resize = (rows * side, columns * side)
    if rows * columns == 1:
        return [(resize, (0, 0, side, side), "image")]
    placed: list[Placed] = [
        (resize, (c * side, r * side, (c + 1) * side, (r + 1) * side), "tile")
        for r in range(rows)
        for c in range(columns)
    ]
    if config.thumbnail:
        placed.append(((side, side), (0, 0, side, side), "thumbnail"))
    return placed


def _place_anyres(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    """The whole image first, then its tiles: LLaVA-NeXT's order, sizes and padding."""
    side, (height, width) = config.image_px, size_hw
    rows, columns = anyres_grid(size_hw, config.tile_grids, tile_px=side)
    target_hw = rows * side, columns * side
    scale_h, scale_w = target_hw[0] / height, target_hw[1] / width
    if scale_w < scale_h:
        resize = min(math.ceil(height * scale_w), target_hw[0]), target_hw[1]
    else:
        resize = target_hw[0], min(math.ceil(width * scale_h), target_hw[1])
    top, left = ((target - size) // 2 for target, size in zip(target_hw, resize, strict=True))
    whole: Placed = ((side, side), (0, 0, side, side), "thumbnail")
    corners = [(c * side - left, r * side - top) for r in range(rows) for c in range(columns)]
    return [whole, *((resize, (x, y, x + side, y + side), "tile") for x, y in corners)]


def _anyres_lines(views: Sequence[View], size_hw: SizeHW) -> tuple[tuple[int, ...], ...]:
    """The thumbnail's tokens, then the rows of the joined tiles without those of padding alone.

    As LLaVA-NeXT's `unpad_image` has it: whole rows or columns, as many at both ends.
    """
    side_rows, side_columns = views[0].grid_hw
    tiles = views[1:]
    columns = len({view.window[0] for view in tiles})
    rows = len(tiles) // columns
    index = np.arange(side_rows * side_columns, side_rows * side_columns * (1 + len(tiles)))
    joined = index.reshape(rows, columns, side_rows, side_columns).transpose(0, 2, 1, 3)
    joined = _crop_padding(joined.reshape(rows * side_rows, columns * side_columns), size_hw)
    if not joined.size:
        raise DataError(
            "image is too long and thin for 'anyres': not a row of its tiles' tokens is left",
            got=f"{size_hw[0]} x {size_hw[1]}",
        )
    whole = tuple(range(side_rows * side_columns))
    first, *others = (tuple(map(int, row)) for row in joined)
    return (whole + first, *others)


def _crop_padding(joined_hw: np.ndarray, size_hw: SizeHW) -> np.ndarray:
    (height, width), (rows, columns) = size_hw, joined_hw.shape
    if width / height > columns / rows:
        kept = int(round(height * (columns / width), 7))
        padding = (rows - kept) // 2
        return joined_hw[padding : rows - padding]
    kept = int(round(width * (rows / height), 7))
    padding = (columns - kept) // 2
    return joined_hw[:, padding : columns - padding]


def _place_native(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    height, width = native_size(
        size_hw, cell_px=cell_px, min_pixels=config.min_pixels, max_pixels=config.max_pixels
    )
    return [((height, width), (0, 0, width, height), "image")]


def _place_naflex(config: Preprocess, size_hw: SizeHW, cell_px: int) -> list[Placed]:
    height, width = naflex_size(size_hw, cell_px=cell_px, max_pixels=config.max_pixels)
    return [((height, width), (0, 0, width, height), "image")]
