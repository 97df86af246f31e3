"""Image processors that a stock checkpoint may bring."""

import json

import pytest
from transformers import GotOcr2ImageProcessorPil

from diglot.core.errors import ConfigError
from diglot.models.adapters.images import read_images


def test_tiles_as_the_processor_cuts_them(tmp_path) -> None:
    size = {"height": 32, "width": 32}
    for most, mode in [(4, "tiles"), (1, "squash")]:
        GotOcr2ImageProcessorPil(size=size, max_patches=most).save_pretrained(tmp_path)
        assert read_images(str(tmp_path), None).preprocess.mode == mode
    GotOcr2ImageProcessorPil(size=size, min_patches=2, max_patches=4).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"min_patches: 1"):
        read_images(str(tmp_path), None)


def test_coheres_tiles_are_its_own(tmp_path) -> None:
    fields = {
        "image_processor_type": "Cohere2VisionImageProcessor",
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    for change, mode in [({}, "cohere_tiles"), ({"crop_to_patches": False}, "squash")]:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(fields | change))
        assert read_images(str(tmp_path), None).preprocess.mode == mode
    wide = fields | {"size": {"height": 32, "width": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(wide))
    with pytest.raises(ConfigError, match="not square"):
        read_images(str(tmp_path), None)
