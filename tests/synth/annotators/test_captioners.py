"""Florence-2 from a tiny random checkpoint; RAM's loader on a checkout with RAM's interface."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.synth.annotators.tiny_florence2 import save_florence2

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.synth.annotator import Question
from diglot.synth.annotators import florence2, ram
from diglot.synth.step import Draft

# Its functions have the names, arguments and answers of recognize-anything's; its model is small.
RAM_PACKAGE = """
import torch
from . import models
def get_transform(image_size=384):
    def transform(picture):
        pixels = torch.tensor(list(picture.resize((image_size, image_size)).getdata()))
        return pixels.float().T.reshape(3, image_size, image_size) / 255
    return transform
def inference_ram(image, model):
    with torch.no_grad():
        return model(image), "unused"
"""
RAM_MODELS = """
import torch
class Reddest(torch.nn.Module):
    def __init__(self, image_size):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.zeros(1))
        self.image_size = image_size
    def forward(self, image):
        assert image.shape == (1, 3, self.image_size, self.image_size)
        channel = int((self.scale * image.mean((2, 3))).argmax())
        return ("red", "green", "blue")[channel] + " | thing"
def ram_plus(pretrained="", image_size=384, vit="swin_l"):
    model = Reddest(image_size)
    model.load_state_dict(torch.load(pretrained, weights_only=True))
    return model
"""


def draft(shade: int) -> Draft:
    picture = Image.new("RGB", (40, 30), (shade, 100, 255 - shade))
    picture.paste((255, 255, 0), (5, 5, 5 + shade // 10, 20))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    sample = Sample.captioned(
        id=str(shade), image=buffer.getvalue(), size_hw=(30, 40), caption="before"
    )
    return Draft(sample=sample, picture=picture)


def test_florence_2_captions_a_batch_as_each_alone(tmp_path: Path) -> None:
    path = save_florence2(tmp_path)
    captioner = florence2.build(florence2.Config(path=str(path), max_tokens=8, beams=1))
    drafts = [draft(10), draft(200)]
    # the random model never ends by itself: what it writes third is its end from now on
    captioner._model.generation_config.eos_token_id = captioner._generate(drafts)[:, 2].tolist()
    together = captioner.write_captions(drafts)
    assert together == [captioner.write_captions([one])[0] for one in drafts]
    assert all(isinstance(made, Draft) and made.sample.caption != "before" for made in together)
    assert captioner.model.endswith("<MORE_DETAILED_CAPTION>")
    assert captioner.revision.startswith("local-")


def test_a_caption_of_florence_2_that_is_cut_is_rejected(tmp_path: Path) -> None:
    """The model is made to end at its longest, so the text alone does not show the cut."""
    path = save_florence2(tmp_path)
    captioner = florence2.build(florence2.Config(path=str(path), max_tokens=8, beams=2))
    assert captioner._model.generation_config.forced_eos_token_id is not None
    (cut,) = captioner.write_captions([draft(10)])
    assert isinstance(cut, DataError)
    assert cut.what == "the answer was cut at max_tokens"


def test_florence_2_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError):
        florence2.build(florence2.Config(path=str(tmp_path)))


@pytest.fixture
def checkout(tmp_path: Path):
    package = tmp_path / "checkout" / "ram"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(RAM_PACKAGE)
    (package / "models.py").write_text(RAM_MODELS)
    torch.save({"scale": torch.ones(1)}, tmp_path / "weights.pth")
    yield tmp_path
    for name in [name for name in sys.modules if name == "ram" or name.startswith("ram.")]:
        del sys.modules[name]


def test_ram_is_loaded_from_a_checkout_and_weights(checkout: Path) -> None:
    settings = {"checkout": str(checkout / "checkout"), "weights": str(checkout / "weights.pth")}
    tagger = ram.build(ram.Config(**settings, image_px=32))
    assert settings["checkout"] not in sys.path
    red = Image.new("RGB", (50, 40), (200, 10, 10))
    (answer,) = tagger.answer_questions([Question(prompt="", picture=red)])
    assert json.loads(answer) == {"tags": ["red", "thing"]}
    assert len(tagger.revision) == 16


def test_a_checkout_of_something_else_is_refused(checkout: Path) -> None:
    (checkout / "checkout" / "ram" / "models.py").write_text("")
    settings = {"checkout": str(checkout / "checkout"), "weights": str(checkout / "weights.pth")}
    with pytest.raises(ConfigError, match="not one of recognize-anything"):
        ram.build(ram.Config(**settings))
    with pytest.raises(ConfigError, match="no such file"):
        ram.build(ram.Config(checkout=settings["checkout"], weights="gone.pth"))
