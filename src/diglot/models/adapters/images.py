"""A stock image processor's settings as ours: the way of preparing an image, and its pixels."""

from dataclasses import dataclass
from typing import Any

from transformers import AutoImageProcessor

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.models.encoder import RGB, Resample
from diglot.models.pretrained import reading

RESAMPLE: dict[int, Resample] = {1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True, kw_only=True)
class StockImages:
    """What a stock image processor does to an image."""

    preprocess: Preprocess
    mean: RGB
    std: RGB
    resample: Resample


def read_images(path: str, revision: str | None) -> StockImages:
    """Raises ConfigError for a processor that prepares images in a way we do not have."""
    where = "model.stock"
    images: Any = reading(
        lambda: AutoImageProcessor.from_pretrained(path, revision=revision, backend="pil"),
        path=path,
        where=where,
    )
    resample = RESAMPLE.get(int(images.resample))
    if resample is None or not (images.do_resize and images.do_normalize and images.do_rescale):
        raise ConfigError("an image processor that is not known here", got=images, where=where)
    return StockImages(
        preprocess=_preprocess(images, where),
        mean=_rgb(images.image_mean),
        std=_rgb(images.image_std),
        resample=resample,
    )


def _rgb(values: Any) -> RGB:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _preprocess(images: Any, where: str) -> Preprocess:
    kind = type(images).__name__
    if kind.startswith(("LlavaNext", "LlavaOnevision")):
        return _anyres(images)
    if kind.startswith("GotOcr2"):
        return _tiles(images, where)
    if getattr(images, "do_pad", False) and not kind.startswith("Idefics3"):
        raise ConfigError(f"{kind} pads before it resizes, which is not known here", where=where)
    size = images.size
    if getattr(images, "do_center_crop", False):
        side = images.crop_size["height"]
        if size.get("shortest_edge") == side:
            return Preprocess(mode="center_crop", image_px=side)
    elif "height" in size and size["height"] == size["width"]:
        return Preprocess(mode="squash", image_px=size["height"])
    raise ConfigError(f"{kind} with size {size} is not known here", where=where)


def _tiles(images: Any, where: str) -> Preprocess:
    """Its processors ask for crops whatever `crop_to_patches` says."""
    if images.min_patches != 1:
        raise ConfigError(
            "an image processor with a least number of tiles is not known here",
            expected="min_patches: 1",
            got=images.min_patches,
            where=where,
        )
    side = images.size["height"]
    if images.max_patches == 1:
        return Preprocess(mode="squash", image_px=side)
    return Preprocess(mode="tiles", image_px=side, max_tiles=images.max_patches)


def _anyres(images: Any) -> Preprocess:
    side = images.size.get("shortest_edge") or images.size["height"]
    grids = tuple((height // side, width // side) for height, width in images.image_grid_pinpoints)
    return Preprocess(mode="anyres", image_px=side, tile_grids=grids)
