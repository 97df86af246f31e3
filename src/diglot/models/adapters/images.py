"""A stock image processor's settings as ours: the way of preparing an image, and its pixels."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import AutoImageProcessor
from transformers.utils.hub import cached_file

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.files import read_object
from diglot.models.encoder import RGB, Resample
from diglot.models.pretrained import read_pretrained

WHERE = "model.stock"
DO_ALL = {"do_resize": True, "do_normalize": True, "do_rescale": True}
# Classes that need torchvision to be made: what they do where their file does not say.
DEFAULTS: dict[str, dict[str, Any]] = {
    "Cohere2VisionImageProcessor": {"crop_to_patches": True, "max_patches": 12, "resample": 3},
    "Lfm2VlImageProcessor": {
        "do_image_splitting": True,
        "resample": 2,
        "encoder_patch_size": 16,
        "downsample_factor": 2,
        "min_image_tokens": 64,
        "max_image_tokens": 256,
    },
}
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
    kind, images = _load_images(path, revision)
    resample = RESAMPLE.get(int(images.resample))
    if resample is None or not (images.do_resize and images.do_normalize and images.do_rescale):
        raise ConfigError("an image processor that is not known here", got=images, where=WHERE)
    return StockImages(
        preprocess=_read_preprocess(kind, images, WHERE),
        mean=_as_rgb(images.image_mean),
        std=_as_rgb(images.image_std),
        resample=resample,
    )


def _load_images(path: str, revision: str | None) -> tuple[str, Any]:
    """The class and the settings; those of classes that need torchvision out of their file."""
    fields = _read_fields(path, revision)
    kind = str(fields.get("image_processor_type"))
    if kind in DEFAULTS:
        return kind, SimpleNamespace(**{**DO_ALL, **DEFAULTS[kind], **fields})
    images: Any = read_pretrained(
        AutoImageProcessor, path, where=WHERE, revision=revision, backend="pil"
    )
    return type(images).__name__, images


def _read_fields(path: str, revision: str | None) -> dict[str, Any]:
    """The image processor's own settings, empty where no file has any."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        file = cached_file(
            path, name, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if file is not None:
            fields = read_object(Path(file))
            if found := fields.get("image_processor", fields if name.startswith("pre") else None):
                return found
    return {}


def _as_rgb(values: Any) -> RGB:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _read_preprocess(kind: str, images: Any, where: str) -> Preprocess:
    if kind == "Cohere2VisionImageProcessor":
        return _read_cohere(images, where)
    if kind == "Lfm2VlImageProcessor":
        return _read_lfm2(images, where)
    if kind.startswith(("Idefics3", "SmolVLM")):
        return _read_idefics(kind, images, where)
    if kind.startswith("Qwen2VL"):
        size = dict(images.size)
        return Preprocess(
            mode="native", min_pixels=size["shortest_edge"], max_pixels=size["longest_edge"]
        )
    if getattr(images, "do_pan_and_scan", False):
        raise _unknown_tiles(kind, where)
    if kind.startswith(("LlavaNext", "LlavaOnevision")):
        return _read_anyres(images)
    if kind.startswith("GotOcr2"):
        return _read_tiles(images, where)
    if kind.startswith("LlavaImageProcessor") and images.do_pad:
        return _read_padded(images, where)
    if getattr(images, "do_pad", False):
        raise ConfigError(f"{kind} pads before it resizes, which is not known here", where=where)
    size = images.size
    if getattr(images, "do_center_crop", False):
        side = images.crop_size["height"]
        if size.get("shortest_edge") == side:
            return Preprocess(mode="center_crop", image_px=side)
    elif "height" in size and size["height"] == size["width"]:
        return Preprocess(mode="squash", image_px=size["height"])
    raise ConfigError(f"{kind} with size {size} is not known here", where=where)


def _read_padded(images: Any, where: str) -> Preprocess:
    """LLaVA-1.5's square; its center crop then changes nothing."""
    size, crop = dict(images.size), dict(images.crop_size or {})
    side: Any = size.get("height") or size.get("shortest_edge")
    if images.do_center_crop and crop.get("height") != side:
        raise ConfigError("it crops what it has padded", got=crop, where=where)
    return Preprocess(mode="pad", image_px=side)


def _read_cohere(images: Any, where: str) -> Preprocess:
    side = images.size["height"]
    if images.size["width"] != side:
        raise ConfigError("its views are not square", got=images.size, where=where)
    if not images.crop_to_patches or images.max_patches == 1:
        return Preprocess(mode="squash", image_px=side)
    return Preprocess(mode="cohere_tiles", image_px=side, max_tiles=images.max_patches)


def _read_lfm2(images: Any, where: str) -> Preprocess:
    """Without tiles, which have a rule of their own."""
    if images.do_image_splitting:
        raise _unknown_tiles("Lfm2VlImageProcessor", where)
    cell = (images.encoder_patch_size * images.downsample_factor) ** 2
    return Preprocess(
        mode="native",
        min_pixels=images.min_image_tokens * cell,
        max_pixels=images.max_image_tokens * cell,
    )


def _read_idefics(kind: str, images: Any, where: str) -> Preprocess:
    side, size = images.max_image_size["longest_edge"], images.size
    if images.do_image_splitting or dict(size).get("height") != side:
        raise _unknown_tiles(kind, where)
    return Preprocess(mode="squash", image_px=side)


def _unknown_tiles(kind: str, where: str) -> ConfigError:
    return ConfigError(
        f"{kind} cuts or resizes images by a rule that is not known here",
        expected="one view an image (do_image_splitting or do_pan_and_scan false)",
        where=where,
    )


def _read_tiles(images: Any, where: str) -> Preprocess:
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


def _read_anyres(images: Any) -> Preprocess:
    side = images.size.get("shortest_edge") or images.size["height"]
    grids = tuple((height // side, width // side) for height, width in images.image_grid_pinpoints)
    return Preprocess(mode="anyres", image_px=side, tile_grids=grids)
