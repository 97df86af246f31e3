"""Stock processors as they serve a folder, those too whose video part needs torchvision."""

import json
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, GotOcr2ImageProcessorPil

WITH_VIDEO = ("Qwen2_5_VLProcessor", "InternVLProcessor", "LlavaOnevisionProcessor")


def load_stock_processor(folder: Path) -> Any:
    """The stock class of a folder's processor; its video part is left out where it has one.

    Cohere2Vision's images, which need torchvision, are squared by the class that its own follows.
    """
    file = folder / "processor_config.json"  # tiny_stock's Qwen2.5-VL has an older one instead
    fields = json.loads(file.read_text("utf-8")) if file.exists() else {}
    name = fields.get("processor_class", "Qwen2_5_VLProcessor")
    if name == "Cohere2VisionProcessor":
        kept = {
            k: fields["image_processor"][k] for k in ("size", "image_mean", "image_std", "resample")
        }
        images: Any = GotOcr2ImageProcessorPil(**kept, crop_to_patches=False)
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
