"""What a stock processor writes around and between the views of an image, as our marks."""

from collections.abc import Callable
from typing import Any

from transformers import AutoProcessor

from diglot.core.view_marks import ViewMarks
from diglot.models.pretrained import read_pretrained
from diglot.models.prompt import ImageText

QWEN = ("qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")


def read_marks(kind: str, path: str, revision: str | None, tokenizer: Any) -> ViewMarks | None:
    """The marks of a checkpoint of the model type `kind`; None where its class writes none."""
    read = READ.get(kind)
    return None if read is None else read(path, revision, tokenizer)


def write_image(kind: str, tokenizer: Any) -> ImageText:
    """How chat templates and processors of the model type `kind` write an image."""
    if kind == "gemma3":
        return ImageText(written=tokenizer.boi_token, before="\n\n", after="\n\n")
    if kind in QWEN:
        return ImageText(written="<|vision_start|><|image_pad|><|vision_end|>")
    if kind == "internvl":
        return ImageText(written=tokenizer.context_image_token)
    if kind == "cohere2_vision":
        return ImageText(written=tokenizer.image_token)
    return ImageText(starts_document=kind == "paligemma", alone=kind == "llava_onevision")


def _aya_vision(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    processor: Any = read_pretrained(
        AutoProcessor, path, where="model.stock", revision=revision, backend="pil"
    )
    whole, tiled = processor.tile_global_token, processor.image_processor.max_patches > 1
    return ViewMarks(
        start=processor.start_of_img_token,
        image=whole,
        tile=processor.tile_token + "_{number}" if tiled else "",
        thumbnail=whole,
        end=processor.end_of_img_token,
    )


def _idefics3_marks(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    """Its class has them as constants."""
    fake = "<fake_token_around_image>"
    return ViewMarks(image=f"{fake}<global-img>", end=fake)


def _internvl_marks(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    return ViewMarks(start=tokenizer.start_image_token, end=tokenizer.end_image_token)


def _cohere2_vision(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    line = tokenizer.img_line_break_token
    return ViewMarks(start=tokenizer.boi_token, view_end=line, end=tokenizer.eoi_token)


def _lfm2_vl(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    start = getattr(tokenizer, "image_start_token", "<|image_start|>")
    return ViewMarks(start=start, end=getattr(tokenizer, "image_end_token", "<|image_end|>"))


def _gemma3_marks(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    """The newlines around them are no marks: they merge with those of the text beside them."""
    return ViewMarks(start=tokenizer.boi_token, end=tokenizer.eoi_token)


def _qwen_vl(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    """Its chat template writes them, not its processor."""
    return ViewMarks(start="<|vision_start|>", end="<|vision_end|>")


def _paligemma_marks(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    return ViewMarks(end=tokenizer.bos_token)


READ: dict[str, Callable[[str, str | None, Any], ViewMarks]] = {
    "aya_vision": _aya_vision,
    "idefics3": _idefics3_marks,
    "smolvlm": _idefics3_marks,
    "internvl": _internvl_marks,
    "cohere2_vision": _cohere2_vision,
    "lfm2_vl": _lfm2_vl,
    "gemma3": _gemma3_marks,
    **dict.fromkeys(QWEN, _qwen_vl),
    "paligemma": _paligemma_marks,
}
