"""Stock checkpoints taken apart, and written again to the bit."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
)

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.models.adapters.stock import is_stock
from diglot.models.checkpoint import save_vlm
from diglot.models.export import stock_run
from diglot.models.export.check import check_export, picture_logits
from diglot.models.export.flow import export_checkpoint, load_checkpoint, open_config
from diglot.models.export.stock_folder import write_stock
from diglot.models.trainable import Trainable, set_trainable
from diglot.models.vlm import VLMConfig, build_vlm
from tests.models.conftest import VISION
from tests.models.export.test_export import FITTING, NEED_TORCHVISION, export, make, pictures
from tests.tiny import tiny_language

READ_BACK = [
    pytest.param(
        row,
        id=f"{row[0]}-{row[1]}",
        marks=[pytest.mark.slow] * (row[0] in ("lfm2_vl", "llava_onevision")),
    )
    for row in (FITTING[0], *FITTING[3:])
]


def stock_llava_next(folder: Path) -> None:
    language = tiny_language("qwen2")
    language.tokenizer = copy.deepcopy(language.tokenizer)  # the tests share one
    language.tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = language.model.config
    text.vocab_size = len(language.tokenizer)
    grids = [[32, 64], [64, 32], [64, 64]]
    config = LlavaNextConfig(
        vision_config={"model_type": "clip_vision_model", **VISION},
        text_config=text,
        image_token_index=len(language.tokenizer) - 1,
        image_grid_pinpoints=grids,
    )
    LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=size, image_grid_pinpoints=grids
    )
    LlavaNextProcessor(images, language.tokenizer, patch_size=8).save_pretrained(folder)


def same_weights(first: Path, second: Path) -> None:
    want, got = (load_file(f / "model.safetensors") for f in (first, second))
    assert list(want) == list(got)
    for name, value in want.items():
        assert value.dtype == got[name].dtype, name
        assert value.equal(got[name]), name


def as_smolvlm(folder: Path) -> None:
    """Idefics3's parts under the names of SmolVLM, which has the same."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"model_type": "smolvlm", "architectures": ["SmolVLMForConditionalGeneration"]}
    config["vision_config"] |= {"model_type": "smolvlm_vision"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    config = json.loads((folder / "processor_config.json").read_text("utf-8"))
    config["processor_class"] = "SmolVLMProcessor"
    config["image_processor"]["image_processor_type"] = "SmolVLMImageProcessor"
    config["video_processor"] = {"video_processor_type": "SmolVLMVideoProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(config), "utf-8")


RARE = ("llava_onevision", "idefics3", "smolvlm", "internvl", "cohere2_vision", "lfm2_vl")
KINDS = ["llava", "aya_vision", "llava_next"]
KINDS += [pytest.param(name, marks=pytest.mark.slow) for name in RARE]


@pytest.fixture(params=KINDS)
def stock(request, towers: dict[str, Path], language_folder: Path, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    if request.param == "llava_next":
        stock_llava_next(tmp_path / "stock")
    else:
        name = "idefics3" if request.param == "smolvlm" else request.param
        row = next(row for row in FITTING if row[0] == name)
        export(*make(towers, language_folder, row), name, tmp_path / "stock")
        (tmp_path / "stock/diglot_export.json").unlink()
    if request.param == "smolvlm":
        as_smolvlm(tmp_path / "stock")
    return tmp_path / "stock"


def stock_features(inner, config, pixels: torch.Tensor) -> torch.Tensor:
    """Tokens behind the projector as the stock class makes them of square views."""
    if config.model_type in ("llava", "llava_next", "llava_onevision"):  # these join tiles
        layer = config.vision_feature_layer
        hidden = inner.vision_tower(pixels, output_hidden_states=True).hidden_states[layer]
        is_default = config.vision_feature_select_strategy == "default"
        return inner.multi_modal_projector(hidden[:, 1:] if is_default else hidden)
    if config.model_type == "lfm2_vl":
        flat = pixels.unflatten(2, (4, 8)).unflatten(4, (4, 8)).permute(0, 2, 4, 3, 5, 1)
        shapes = torch.tensor([[4, 4]] * len(pixels))
        mask = torch.ones(len(pixels), 16, dtype=torch.int64)
        out = inner.get_image_features(flat.reshape(len(pixels), 16, -1), shapes, mask)
        return torch.cat(out.pooler_output)
    views = pixels[None] if config.model_type in ("idefics3", "smolvlm") else pixels
    out = inner.get_image_features(views, return_dict=True).pooler_output
    return torch.cat(out) if isinstance(out, list) else out


def test_the_parts_are_those_of_the_model(stock: Path) -> None:
    """Features behind the projector equal the stock model's own, for one square view."""
    vlm = build_vlm(VLMConfig(stock=str(stock))).eval()
    model = AutoModelForImageTextToText.from_pretrained(stock).eval()
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = vlm.project(vlm.features(list(pixels)))
        inner = model.model
        theirs = stock_features(inner, model.config, pixels)
    torch.testing.assert_close(ours, theirs.reshape(ours.shape), rtol=1e-5, atol=1e-5)


def test_out_again_unchanged_to_the_bit(stock: Path, tmp_path: Path) -> None:
    kind = open_kind(stock)
    export_checkpoint(stock, kind, tmp_path / "again")
    same_weights(stock, tmp_path / "again")
    for name in ("processor_config.json", "tokenizer.json"):
        assert (stock / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    configs = [json.loads((f / "config.json").read_text()) for f in (stock, tmp_path / "again")]
    assert configs[0] == configs[1]
    if kind not in (*NEED_TORCHVISION, "smolvlm"):
        AutoProcessor.from_pretrained(tmp_path / "again")
    with pytest.raises(ConfigError, match="its own container"):
        export_checkpoint(stock, "paligemma", tmp_path / "other")


@pytest.mark.slow
def test_stock_transformers_runs_what_went_out_again(stock: Path, tmp_path: Path) -> None:
    vlm = build_vlm(open_config(stock))
    export_checkpoint(stock, open_kind(stock), tmp_path / "again")
    result = check_export(tmp_path / "again", vlm, pictures(), run=stock_run.main)
    assert result.passed, result


def open_kind(folder: Path) -> str:
    return AutoModelForImageTextToText.from_pretrained(folder).config.model_type


def test_what_a_run_trained_goes_out_and_the_rest_stays(stock: Path, tmp_path: Path) -> None:
    config = open_config(stock)
    vlm = build_vlm(config)
    set_trainable(vlm, Trainable())
    with torch.no_grad():
        for parameter in vlm.projector.parameters():
            parameter.add_(0.1)
    save_vlm(vlm, config, tmp_path / "run", parts=("projector",))
    again = load_checkpoint(tmp_path / "run", open_config(tmp_path / "run"))
    for name, value in vlm.state_dict().items():
        assert value.equal(again.state_dict()[name]), name
    export_checkpoint(tmp_path / "run", open_kind(stock), tmp_path / "out")
    before, after = (load_file(f / "model.safetensors") for f in (stock, tmp_path / "out"))
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved
    learned = ("projector", "connector", "image_newline")
    assert all(any(part in name for part in learned) for name in moved)


@pytest.mark.parametrize("row", READ_BACK)
def test_logits_after_reading_back(towers, language_folder: Path, tmp_path: Path, row) -> None:
    vlm, config = make(towers, language_folder, row)
    out = export(vlm, config, row[0], tmp_path / "stock")
    again = build_vlm(VLMConfig(stock=str(out))).eval()
    for picture in pictures():
        want, got = picture_logits(vlm, picture), picture_logits(again, picture)
        assert want.ids_T.equal(got.ids_T)
        width = want.logits_TV.shape[1]
        torch.testing.assert_close(got.logits_TV[:, :width], want.logits_TV)


def test_other_grids_of_tiles_are_served_as_trained(towers, language_folder, tmp_path) -> None:
    row = next(row for row in FITTING if row[0] == "llava_onevision")
    out = export(*make(towers, language_folder, row), row[0], tmp_path / "stock")
    (out / "diglot_export.json").unlink()
    grids = ((1, 2), (3, 4))
    config = VLMConfig(stock=str(out), preprocess=replace(row_preprocess(), tile_grids=grids))
    with pytest.raises(ConfigError, match=r"at most 10 tiles.*got 12"):
        build_vlm(config)
    vlm = build_vlm(replace(config, preprocess=replace(row_preprocess(), tile_grids=grids[:1])))
    write_stock(vlm, str(out), row[0], tmp_path / "again")
    read = VLMConfig(stock=str(tmp_path / "again"))
    assert build_vlm(read).preprocess.tile_grids == grids[:1]
    vlm.processor = replace(vlm.processor, preprocess=Preprocess(image_px=32))
    with pytest.raises(ConfigError, match="prepared otherwise"):
        write_stock(vlm, str(out), row[0], tmp_path / "other")


def row_preprocess() -> Preprocess:
    return Preprocess(mode="anyres", image_px=32)


def test_what_is_not_known_is_refused(language_folder: Path) -> None:
    assert not is_stock(str(language_folder))
    with pytest.raises(ConfigError, match="cannot be taken apart"):
        build_vlm(VLMConfig(stock=str(language_folder)))
