"""What a stock processor writes around and between the views of an image, as our marks."""

from collections.abc import Callable
from typing import Any

from transformers import AutoProcessor

from diglot.core.view_marks import ViewMarks
from diglot.models.pretrained import reading


def read_marks(kind: str, path: str, revision: str | None, tokenizer: Any) -> ViewMarks | None:
    """The marks of a checkpoint of the model type `kind`; None where its class writes none."""
    read = READ.get(kind)
    return None if read is None else read(path, revision, tokenizer)


def _aya_vision(path: str, revision: str | None, tokenizer: Any) -> ViewMarks:
    processor: Any = reading(
        lambda: AutoProcessor.from_pretrained(path, revision=revision, backend="pil"),
        path=path,
        where="model.stock",
    )
    whole, tiled = processor.tile_global_token, processor.image_processor.max_patches > 1
    return ViewMarks(
        start=processor.start_of_img_token,
        image=whole,
        tile=processor.tile_token + "_{number}" if tiled else "",
        thumbnail=whole,
        end=processor.end_of_img_token,
    )


READ: dict[str, Callable[[str, str | None, Any], ViewMarks]] = {"aya_vision": _aya_vision}
