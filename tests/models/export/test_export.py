"""VLMs written as stock folders, and read by stock transformers in a process of its own."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.core.view_marks import ViewMarks
from diglot.models.export import stock_run
from diglot.models.export.check import TOLERANCE, check_export, picture_logits
from diglot.models.export.container import load_container
from diglot.models.export.design import read_design
from diglot.models.export.folder import ORIGIN, write_export
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from tests.tiny import BOS, EOS

MERGED = {"name": "mlp", "hidden": 24, "unshuffle": 2, "input_norm": True}
PLAIN = {"name": "mlp", "activation": "gelu"}
AYA = ViewMarks(start=EOS, tile="TILE_{number}", image="ALL", thumbnail="ALL", end=BOS)
TILED = Preprocess(mode="tiles", image_px=32, marks=AYA)
# container, encoder folder, layer, projector, way of preparing the image
FITTING = [
    ("llava", "clip", -2, PLAIN, "center_crop"),
    ("llava", "clip", -2, PLAIN, "pad"),
    ("llava", "dinov2", -1, {**PLAIN, "activation": "silu"}, "squash"),
    ("llava", "siglip_vision", 2, {**PLAIN, "activation": "quick_gelu"}, "squash"),
    ("llava_next", "clip", -2, {**PLAIN, "separators": 1}, "anyres"),
    ("llava_next", "siglip", 1, {**PLAIN, "separators": 1}, "anyres"),
    ("llava_onevision", "siglip", -1, {**PLAIN, "separators": 1}, "anyres"),
    ("aya_vision", "siglip", -2, {**MERGED, "activation": "quick_gelu"}, "squash"),
    ("aya_vision", "clip_vision", "last", {**MERGED, "activation": "silu"}, "squash"),
    ("aya_vision", "siglip", 1, {**MERGED, "activation": "silu"}, TILED),
]
FAKE = "<fake_token_around_image>"
IDEFICS = ViewMarks(image=f"{FAKE}<global-img>", end=FAKE, new_tokens=(FAKE,))
ENDS = ViewMarks(start=EOS, end=BOS)
NATIVE = {"mode": "native", "image_px": 32, "min_pixels": 1024, "max_pixels": 4096}
FITTING += [
    ("idefics3", "siglip", "last", {"name": "linear", "unshuffle": 2, "bias": False}, IDEFICS),
    ("internvl", "dinov2", "last", {**MERGED, "hidden": None}, ENDS),
    ("internvl", "dinov2", -2, {**MERGED, "hidden": None}, replace(TILED, marks=ENDS, image_px=48)),
    (
        "cohere2_vision",
        "siglip",
        "last",
        {**MERGED, "activation": "silu", "input_norm": False},
        replace(ENDS, view_end=EOS),
    ),
    (
        "cohere2_vision",
        "siglip",
        "last",
        {**MERGED, "input_norm": False, "activation": "silu"},
        replace(TILED, mode="cohere_tiles", marks=replace(ENDS, view_end=EOS)),
    ),
    ("lfm2_vl", "siglip2", "last", MERGED, Preprocess(**NATIVE, marks=ENDS)),
    (
        "lfm2_vl",
        "siglip2",
        "last",
        {**MERGED, "input_norm": False},
        Preprocess(**NATIVE, marks=ENDS),
    ),
]
AYA_ROW = next(row for row in FITTING if row[0] == "aya_vision")
NEED_TORCHVISION = ("llava_onevision", "internvl", "cohere2_vision", "lfm2_vl")  # their processors


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(37, 61, 3), (80, 33, 3), (32, 32, 3), (50, 91, 3)]
    return [Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)) for size in sizes]


def make(towers: dict[str, Path], language: Path, row) -> tuple[VLM, VLMConfig]:
    _, folder, layer, projector, preprocess = row
    if isinstance(preprocess, ViewMarks):
        preprocess = Preprocess(image_px=32, marks=preprocess)
    if isinstance(preprocess, str):
        preprocess = Preprocess(mode=preprocess, image_px=32)
    config = VLMConfig(
        encoder={"name": folder.split("_")[0], "path": str(towers[folder]), "layer": layer},
        projector=projector,
        language=LanguageConfig(path=str(language)),
        preprocess=preprocess,
    )
    vlm = build_vlm(config, seed=3).eval()
    with torch.no_grad():
        for parameter in vlm.projector.parameters():  # away from its start, the norm too
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return vlm, config


def export(vlm: VLM, config: VLMConfig, name: str, out: Path, **options) -> Path:
    write_export(
        vlm,
        read_design(config),
        load_container(name),
        out,
        checkpoint=out.parent / "run" / "model",
        **options,
    )
    return out


@pytest.mark.parametrize("row", FITTING, ids=lambda row: f"{row[0]}-{row[1]}")
def test_stock_transformers_gives_the_same_logits(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path, row
) -> None:
    vlm, config = make(towers, language_folder, row)
    out = export(vlm, config, row[0], tmp_path / "out")
    result = check_export(out, vlm, pictures(), run=stock_run.main)
    assert result.passed, result
    assert result.largest_difference < 1e-4
    if row[0] in NEED_TORCHVISION and not find_spec("torchvision"):
        assert "orchvision" in result.lacking
        return
    assert result.lacking is None
    assert len(result.answers) == 4


def test_efficientnet_by_timms_names(language_folder: Path, tmp_path: Path) -> None:
    """FastVlm cannot run here (timm needs torchvision): config and every name and shape."""
    config = VLMConfig(
        encoder={"name": "efficientnet_lite0", "image_px": 64, "weights": "random:0"},
        projector=PLAIN,
        language=LanguageConfig(path=str(language_folder)),
    )
    vlm = build_vlm(config).eval()
    out = export(vlm, config, "fast_vlm", tmp_path / "out")
    payload = json.loads((out / "config.json").read_text())
    assert payload["vision_config"]["architecture"] == "tf_efficientnet_lite0"
    assert payload["architectures"] == ["FastVlmForConditionalGeneration"]
    state = load_file(out / "model.safetensors")
    tower = {n: v for n, v in state.items() if n.startswith("model.vision_tower.timm_model.")}
    assert len(tower) == 294  # as timm 1.0.31 has them without its classifier
    inverted = "model.vision_tower.timm_model.blocks.5.3"
    assert tower[f"{inverted}.conv_pwl.weight"].equal(
        vlm.encoder.net._blocks[14]._project_conv.weight
    )
    assert state["model.multi_modal_projector.linear_1.weight"].equal(vlm.projector.fc1.weight)
    processor = AutoProcessor.from_pretrained(out, backend="pil")
    inputs = processor(images=[pictures()[0]], text=["<image>"], return_tensors="pt")
    assert (inputs["input_ids"] == processor.image_token_id).sum() == 4
    ours = picture_logits(vlm, pictures()[0]).pixels_V3HW
    torch.testing.assert_close(inputs["pixel_values"], ours)


def test_a_wrong_weight_fails_the_check(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path
) -> None:
    vlm, config = make(towers, language_folder, AYA_ROW)
    out = export(vlm, config, "aya_vision", tmp_path / "out")
    with torch.no_grad():
        vlm.projector.fc1.bias.add_(0.1)
    result = check_export(out, vlm, pictures()[:1], run=stock_run.main)
    assert result.same_tokens
    assert not result.passed
    assert result.computed_in == "float64"
    assert result.largest_difference > 1e-3


def test_what_float32_may_have_rounded_runs_in_float64(
    towers, language_folder, tmp_path: Path, monkeypatch
) -> None:
    vlm, config = make(towers, language_folder, AYA_ROW)
    out = export(vlm, config, "aya_vision", tmp_path / "out")
    first = check_export(out, vlm, pictures()[:2], run=stock_run.main)
    monkeypatch.setitem(TOLERANCE, "float32", 1e-12)  # deep models round by more than 1e-4
    second = check_export(out, vlm, pictures()[:2], run=stock_run.main)
    assert (first.computed_in, second.computed_in) == ("float32", "float64")
    assert second.largest_difference < first.largest_difference  # norms stay in float32
    assert vlm.language.head_matrix.weight.dtype == torch.float32


@pytest.mark.slow
def test_a_process_of_its_own_without_an_import_of_ours(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path
) -> None:
    vlm, config = make(towers, language_folder, AYA_ROW)
    out = export(vlm, config, "aya_vision", tmp_path / "out")
    assert check_export(out, vlm, pictures()[:1]).passed
    (out / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match="stock transformers cannot run the export"):
        check_export(out, vlm, pictures()[:1])


def test_the_folder_has_all_that_a_stock_checkpoint_has(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path
) -> None:
    vlm, config = make(towers, language_folder, FITTING[0])
    out = export(vlm, config, "llava", tmp_path / "out", shard_size="100KB")
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "generation_config.json", "processor_config.json", "README.md"} <= names
    assert {"tokenizer.json", "chat_template.jinja", "model.safetensors.index.json"} <= names
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is True
    payload = json.loads((out / "generation_config.json").read_text())
    assert payload["suppress_tokens"] == [320]  # <image>: its row is no word
    assert json.loads((out / ORIGIN).read_text())["container"] == "llava"
    assert not list(tmp_path.glob(".out*"))


def test_half_precision(towers: dict[str, Path], language_folder: Path, tmp_path: Path) -> None:
    vlm, config = make(towers, language_folder, AYA_ROW)
    out = export(vlm, config, "aya_vision", tmp_path / "out", dtype=torch.bfloat16)
    model = AutoModelForImageTextToText.from_pretrained(out)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_messages_with_images_become_text(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path
) -> None:
    vlm, config = make(towers, language_folder, FITTING[0])
    processor = AutoProcessor.from_pretrained(export(vlm, config, "llava", tmp_path / "out"))
    content = [{"type": "image"}, {"type": "text", "text": "Who?"}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": "A dog."},
        {"role": "user", "content": "Sure?"},
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    assert text == ("Be brief. USER: <image>\nWho? ASSISTANT: A dog.<|eos|>USER: Sure? ASSISTANT:")


def test_nothing_is_written_where_something_fails(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    vlm, config = make(towers, language_folder, FITTING[0])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    with pytest.raises(ConfigError, match="not of this command"):
        export(vlm, config, "llava", tmp_path / "other")
    with pytest.raises(ConfigError, match="input_norm"):
        export(vlm, config, "aya_vision", tmp_path / "out")
    monkeypatch.setattr("diglot.models.export.folder.model_card", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(vlm, config, "llava", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"other"}


def test_anyres_needs_a_newline(towers: dict[str, Path], language_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"projector\.separators"):
        make(towers, language_folder, ("llava_next", "clip", -2, PLAIN, "anyres"))


MISFITS = [
    ("llava", {"projector": {**PLAIN, "hidden": 40}}, "as wide as the language model"),
    ("llava", {"projector": {**PLAIN, "unshuffle": 2}}, "merges no tokens"),
    ("llava", {"layer": "last"}, "hidden_states"),
    ("llava", {"preprocess": Preprocess(mode="tiles", image_px=32)}, "preprocess.mode tiles"),
    ("llava", {"preprocess": Preprocess(image_px=64)}, "32 px alone"),
    ("aya_vision", {"projector": {**MERGED, "activation": "gelu"}}, "activation gelu"),
    ("aya_vision", {"projector": {**MERGED, "input_norm": False}}, "LayerNorm"),
    ("aya_vision", {"encoder": "efficientnet_lite0"}, "encoder efficientnet_lite0"),
    ("aya_vision", {"preprocess": Preprocess(mode="tiles", image_px=32)}, "ends with '_{number}'"),
    ("aya_vision", {"preprocess": replace(TILED, thumbnail=False)}, "always have one"),
    ("idefics3", {"layer": "last", "projector": {"name": "linear"}}, "projector.bias True"),
    ("idefics3", {"layer": "last"}, "image: <fake_token_around_image><global-img>"),
    ("internvl", {"encoder": "efficientnet_lite0"}, "its tower is dinov2"),
    ("cohere2_vision", {"layer": -1}, "the last state"),
    ("cohere2_vision", {}, "always writes a token at start and view_end and end"),
    (
        "lfm2_vl",
        {"preprocess": Preprocess(mode="native", min_pixels=1000)},
        "multiple of a token's",
    ),
    (
        "lfm2_vl",
        {"preprocess": replace(TILED, marks=AYA)},
        "tile 'TILE_{number}': it writes nothing",
    ),
]


@pytest.mark.parametrize(("name", "change", "reason"), MISFITS)
def test_what_does_not_fit_is_said_before_training(
    towers: dict[str, Path], language_folder: Path, name: str, change: dict, reason: str
) -> None:
    encoder = {"name": "siglip", "path": str(towers["siglip"]), "layer": change.get("layer", -2)}
    fine = {**MERGED, "activation": "silu"} if name == "aya_vision" else PLAIN
    config = VLMConfig(
        encoder=change.get("encoder", encoder),
        projector=change.get("projector", fine),
        language=LanguageConfig(path=str(language_folder)),
        preprocess=change.get("preprocess"),
    )
    misfits = load_container(name).find_misfits(read_design(config))
    assert any(reason in misfit for misfit in misfits), misfits


def test_a_checkpoint_that_cannot_be_read_is_no_misfit(language_folder: Path) -> None:
    config = VLMConfig(
        encoder={"name": "siglip", "path": "nobody/nowhere"},
        projector=PLAIN,
        language=LanguageConfig(path=str(language_folder)),
    )
    design = read_design(config)
    assert design.tower is None
    assert "nobody/nowhere" in design.unread[0]
    assert load_container("llava").find_misfits(design) == []
