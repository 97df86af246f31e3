"""Stock image processors that do to an image what `core.preprocess` does."""

from typing import Any

from PIL.Image import Resampling
from transformers import CLIPImageProcessorPil, LlavaImageProcessorPil

from diglot.models.vlm import VLM

RESAMPLE = {
    "bilinear": Resampling.BILINEAR,
    "bicubic": Resampling.BICUBIC,
    "lanczos": Resampling.LANCZOS,
}


def pixel_settings(vlm: VLM) -> dict[str, Any]:
    """Resampling and normalising, under the names that all stock image processors share."""
    return {
        "resample": int(RESAMPLE[vlm.encoder.resample]),
        "image_mean": list(vlm.encoder.mean),
        "image_std": list(vlm.encoder.std),
    }


def square_size(side_px: int) -> dict[str, int]:
    """A size in stock form."""
    return {"height": side_px, "width": side_px}


def one_view_processor(vlm: VLM) -> CLIPImageProcessorPil | LlavaImageProcessorPil:
    """The processor of one view an image: squashed, padded, or cropped at its center."""
    side = vlm.preprocess.image_px
    if vlm.preprocess.mode == "pad":
        size = square_size(side)
        return LlavaImageProcessorPil(
            size=size, do_pad=True, do_center_crop=False, crop_size=size, **pixel_settings(vlm)
        )
    if vlm.preprocess.mode == "squash":
        sizes: dict[str, Any] = {"size": square_size(side), "do_center_crop": False}
    else:
        sizes = {
            "size": {"shortest_edge": side},
            "crop_size": square_size(side),
            "do_center_crop": True,
        }
    return CLIPImageProcessorPil(**sizes, **pixel_settings(vlm))
