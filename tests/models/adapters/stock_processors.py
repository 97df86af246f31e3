"""Stock processors as they serve a folder, those too whose video part needs torchvision."""

import ast
import json
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import transformers
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, GotOcr2ImageProcessorPil
from transformers.models.got_ocr2 import image_processing_pil_got_ocr2

COHERE = "transformers.models.cohere2_vision.image_processing_cohere2_vision"
WITH_VIDEO = ("Qwen2_5_VLProcessor", "InternVLProcessor", "LlavaOnevisionProcessor")


@cache
def read_cohere_rule() -> Any:
    """Cohere2Vision's choice of a grid, out of its module's text: the module needs torchvision."""
    spec = find_spec(COHERE)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    names = ("get_all_supported_aspect_ratios", "get_optimal_tiled_canvas")
    tree.body = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name in names]
    found: dict[str, Any] = {"np": np, "lru_cache": lru_cache}
    exec(compile(tree, spec.origin, "exec"), found)
    return found["get_optimal_tiled_canvas"]


class CohereImages(GotOcr2ImageProcessorPil):
    """Cohere2Vision's rule of tiles on images of PIL."""

    def crop_image_to_patches(self, *args: Any, **options: Any) -> Any:
        rule = read_cohere_rule()
        with patch.object(image_processing_pil_got_ocr2, "get_optimal_tiled_canvas", rule):
            return super().crop_image_to_patches(*args, **options)


def load_stock_processor(folder: Path) -> Any:
    """The stock class of a folder's processor; its video part is left out where it has one.

    Cohere2Vision's images, which need torchvision, are cut by the class that its own follows, into
    the grid that its own function chooses.
    """
    file = folder / "processor_config.json"  # tiny_stock's Qwen2.5-VL has an older one instead
    fields = json.loads(file.read_text("utf-8")) if file.exists() else {}
    name = fields.get("processor_class", "Qwen2_5_VLProcessor")
    if name == "Cohere2VisionProcessor":
        keys = ("size", "image_mean", "image_std", "resample", "crop_to_patches", "max_patches")
        images: Any = CohereImages(**{key: fields["image_processor"][key] for key in keys})
        images.patch_size = fields["image_processor"]["patch_size"]
    elif name in WITH_VIDEO:
        images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    else:
        return AutoProcessor.from_pretrained(folder, backend="pil")
    parts = ("image_processor", "video_processor", "processor_class")
    settings = {key: value for key, value in fields.items() if key not in parts}
    template = folder / "chat_template.jinja"
    return _without_video(getattr(transformers, name))(
        images,
        AutoTokenizer.from_pretrained(folder),
        **({"video_processor": None} if name in WITH_VIDEO else {}),
        chat_template=template.read_text("utf-8") if template.exists() else None,
        **settings,
    )


def _without_video(kind: type) -> type:
    class ImagesAlone(kind):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> None:
            """The class of the video part, which is not there, is not asked for."""

    return ImagesAlone
