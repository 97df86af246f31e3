"""Image processors that a stock checkpoint may bring."""

import pytest
from transformers import GotOcr2ImageProcessorPil

from diglot.core.errors import ConfigError
from diglot.models.adapters.images import read_images


def test_tiles_with_tokens_between_them_are_refused(tmp_path) -> None:
    """Trained without its TILE tokens, the model would be served otherwise than trained."""
    size = {"height": 32, "width": 32}
    GotOcr2ImageProcessorPil(size=size, max_patches=4).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"TILE tokens.*max_patches: 1"):
        read_images(str(tmp_path), None)
    GotOcr2ImageProcessorPil(size=size, max_patches=1).save_pretrained(tmp_path)
    assert read_images(str(tmp_path), None).preprocess.mode == "squash"
