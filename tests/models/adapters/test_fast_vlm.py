"""FastVlm, whose tower is a convolutional network of timm: by stand-ins, whole where timm is."""

import math
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlavaProcessor,
    TimmWrapperConfig,
)

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.measure.config import STANDARD, MeasureConfig
from diglot.measure.plan import Subject
from diglot.measure.runner import measure_alignment
from diglot.models.adapters.images import StockImages
from diglot.models.adapters.timm_tower import TimmTower
from diglot.models.export.check import picture_logits
from diglot.models.export.flow import export_checkpoint, open_config
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig, build_vlm
from tests.measure.test_stock import project
from tests.models.adapters.stock_processors import load_stock_processor
from tests.models.adapters.tiny_stock import TEXT, grown_tokenizer
from tests.models.export.test_export import PLAIN, export, pictures
from tests.tiny import NAMES

SIDE_PX, WIDTHS = 64, {"tf_efficientnet_lite0": 1280, "fastvit_t8": 768}
IMAGES = StockImages(
    preprocess=Preprocess(mode="center_crop", image_px=32),
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    resample="bicubic",
)


class StandIn(nn.Module):
    """What a timm tower gives the stock class: the feature map of a view."""

    def __init__(self, stride_px: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(to_dict=lambda: {"stride": stride_px})
        self.body = nn.Sequential(nn.Conv2d(3, 6, stride_px, stride_px), nn.BatchNorm2d(6))

    def forward(self, pixel_values: torch.Tensor, do_pooling: bool) -> SimpleNamespace:
        assert not do_pooling
        return SimpleNamespace(last_hidden_state=self.body(pixel_values))


def test_a_tower_gives_its_map_row_by_row_and_stays_as_it_is() -> None:
    tower = StandIn(8)
    encoder = TimmTower("path", None, tower, IMAGES).train()
    assert (encoder.width, encoder.patch_px, encoder.image_px) == (6, 8, 32)
    pixels = torch.randn(2, 3, 32, 48)
    got_VhwE = encoder(pixels)
    assert got_VhwE.shape == (2, 4, 6, 6)
    for row, column in [(0, 5), (3, 1)]:
        cell = pixels[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        torch.testing.assert_close(got_VhwE[:, row, column], tower.body(cell)[:, :, 0, 0])
    assert tower.body[1].num_batches_tracked == 0


def test_a_grid_of_broken_cells_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"whole cells"):
        TimmTower("path", None, StandIn(10), IMAGES)


def test_without_timm_the_message_says_so(language_folder: Path, tmp_path: Path) -> None:
    if find_spec("timm"):
        pytest.skip("timm is here")
    config = VLMConfig(
        encoder={"name": "efficientnet_lite0", "image_px": 64, "weights": "random:0"},
        projector=PLAIN,
        language=LanguageConfig(path=str(language_folder)),
    )
    folder = export(build_vlm(config), config, "fast_vlm", tmp_path / "model")
    with pytest.raises(ConfigError, match=r"requires the timm library.*Install it"):
        build_vlm(VLMConfig(stock=str(folder)))


def save_fast_vlm(folder: Path, architecture: str) -> Path:
    tokenizer = grown_tokenizer(folder, image_token="<image>")
    size = {"height": SIDE_PX, "width": SIDE_PX}
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE_PX}, crop_size=size)
    LlavaProcessor(
        images, tokenizer, patch_size=32, vision_feature_select_strategy="full"
    ).save_pretrained(folder)
    config = FastVlmConfig(
        vision_config=TimmWrapperConfig(
            architecture=architecture, do_pooling=True, hidden_size=WIDTHS[architecture]
        ),
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        model = FastVlmForConditionalGeneration(config)
        for name, value in model.named_parameters():  # far from zero, so that a mix-up shows
            if "vision_tower" not in name:
                nn.init.normal_(value, std=0.2)
            elif value.ndim == 4:  # else a picture is lost on its way
                nn.init.kaiming_normal_(value)
        for name, value in model.named_buffers():
            if name.endswith("running_mean"):
                nn.init.normal_(value, std=0.1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=WIDTHS)
def stock(request, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    pytest.importorskip("timm", reason="FastVlm's tower needs timm, which needs torchvision")
    folder = save_fast_vlm(tmp_path_factory.mktemp("stock") / "model", request.param)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    vlm = build_vlm(VLMConfig(stock=str(folder)))
    return SimpleNamespace(folder=folder, model=model, vlm=vlm)


@torch.no_grad()
def test_tokens_and_logits_are_the_models(stock: SimpleNamespace) -> None:
    processor = load_stock_processor(stock.folder)
    stock.vlm.train()  # its statistics must not move
    for picture in pictures():
        mine = picture_logits(stock.vlm, picture)
        inputs = processor(images=[picture], text=["<image>"], return_tensors="pt")
        torch.testing.assert_close(mine.pixels_V3HW, inputs["pixel_values"])
        image_id = stock.model.config.image_token_id
        assert (inputs["input_ids"] == image_id).sum() == (mine.ids_T < 0).sum()
        ids_1T = mine.ids_T.where(mine.ids_T >= 0, image_id)[None]
        theirs = stock.model(input_ids=ids_1T, pixel_values=mine.pixels_V3HW).logits[0]
        torch.testing.assert_close(mine.logits_TV, theirs[mine.ids_T >= 0], rtol=1e-4, atol=1e-4)


def test_every_measure_of_it_is_finite(stock: SimpleNamespace) -> None:
    names = (*STANDARD, "embedding", "layers", "attention")
    chosen = {name: {} for name in names} | {"layers": {"k": 2}, "embedding": {"pursuit_steps": 2}}
    options = MeasureConfig(measures=chosen, bootstrap_draws=10)
    held_out = project(stock.vlm.eval(), 12)
    subject = Subject(vlm=stock.vlm, held_out=held_out, names=NAMES, options=options)
    measures = measure_alignment(subject)
    values = {key: measures[key].estimate.value for key in measures if key != "iou"}
    bad = {key: v for key, v in values.items() if v is None or not math.isfinite(v)}
    assert not bad


def test_out_again_unchanged_to_the_bit(stock: SimpleNamespace, tmp_path: Path) -> None:
    assert open_config(stock.folder).stock == str(stock.folder)
    export_checkpoint(stock.folder, "fast_vlm", tmp_path / "again")
    want, got = (load_file(f / "model.safetensors") for f in (stock.folder, tmp_path / "again"))
    assert sorted(want) == sorted(got)
    assert all(value.equal(got[name]) for name, value in want.items())
