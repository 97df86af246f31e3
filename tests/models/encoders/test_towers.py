"""CLIP, SigLIP, SigLIP2 and DINOv2 towers from tiny random checkpoints."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, Siglip2ImageProcessorPil

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError

PATCH, SIDE, WIDTH, LAYERS = 8, 32, 32, 3
# checkpoint folder -> (encoder, tokens before the patches)
FAMILIES = {
    "clip": ("clip", 1),
    "clip_vision": ("clip", 1),
    "siglip": ("siglip", 0),
    "siglip_vision": ("siglip", 0),
    "siglip2": ("siglip2", 0),
    "siglip2_vision": ("siglip2", 0),
    "dinov2": ("dinov2", 1),
    "dinov2_registers": ("dinov2", 5),
    "dinov3": ("dinov3", 5),
}
every = pytest.mark.parametrize("folder", list(FAMILIES))
fixed = pytest.mark.parametrize("folder", [n for n in FAMILIES if not n.startswith("siglip2")])


def build(towers: dict[str, Path], folder: str, **settings):
    part = {"name": FAMILIES[folder][0], "path": str(towers[folder]), **settings}
    return build_part("diglot.models.encoders", part, where="encoder").eval()


def pixels(height: int = SIDE, width: int = SIDE, views: int = 2) -> torch.Tensor:
    return torch.randn(views, 3, height, width, generator=torch.Generator().manual_seed(0))


def own_model(path: Path):
    model = AutoModel.from_pretrained(path).eval()
    return getattr(model, "vision_model", model)


@every
def test_what_it_says_of_itself(towers, folder: str) -> None:
    encoder = build(towers, folder)
    assert (encoder.width, encoder.patch_px, encoder.image_px) == (WIDTH, PATCH, SIDE)
    assert len(encoder.mean) == len(encoder.std) == 3
    assert build(towers, folder, image_px=64).image_px == 64


@fixed
@pytest.mark.parametrize("layer", [-1, -2, 0, 3])
@torch.no_grad()
def test_grid_is_the_models_hidden_states(towers, folder: str, layer: int) -> None:
    got = build(towers, folder, layer=layer)(pixels())
    out = own_model(towers[folder])(pixel_values=pixels(), output_hidden_states=True)
    want = out.hidden_states[layer][:, FAMILIES[folder][1] :]
    assert got.shape == (2, 4, 4, WIDTH)
    assert got.flatten(1, 2).equal(want)


@every
@torch.no_grad()
def test_feature_of_row_and_column_is_of_that_patch(towers, folder: str) -> None:
    """Layer 0 is the patch embedding: one patch changed, one feature changed, the same one."""
    encoder = build(towers, folder, layer=0)
    before = encoder(pixels(32, 48))
    assert before.shape == (2, 4, 6, WIDTH)
    for row, column in [(0, 0), (1, 4), (3, 2)]:
        other = pixels(32, 48)
        other[1, :, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] += 1
        moved = (encoder(other) - before).abs().amax(dim=-1) > 1e-6
        assert moved.nonzero().tolist() == [[1, row, column]]


@every
@pytest.mark.parametrize("size_hw", [(64, 64), (24, 40), (36, 45)])
@torch.no_grad()
def test_other_resolutions_interpolate(towers, folder: str, size_hw: tuple[int, int]) -> None:
    got = build(towers, folder)(pixels(*size_hw))
    rows, columns = (side // PATCH for side in size_hw)
    assert got.shape == (2, rows, columns, WIDTH)
    assert got.isfinite().all()
    if folder.startswith("siglip2"):
        return
    extra = {} if folder.startswith("dino") else {"interpolate_pos_encoding": True}
    model = own_model(towers[folder])
    out = model(pixel_values=pixels(*size_hw), output_hidden_states=True, **extra)
    want = out.hidden_states[-2][:, FAMILIES[folder][1] :]
    assert got.flatten(1, 2).equal(want)


@pytest.mark.parametrize("folder", ["siglip2", "siglip2_vision"])
@pytest.mark.parametrize("size_hw", [(40, 90), (90, 40), (50, 50)])
@torch.no_grad()
def test_naflex_equals_the_models_own_processor(towers, folder: str, size_hw) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8))
    processor = Siglip2ImageProcessorPil(patch_size=PATCH, max_num_patches=20)
    inputs = processor(image, return_tensors="pt")
    rows, columns = inputs["spatial_shapes"][0].tolist()
    out = own_model(towers[folder])(**inputs, output_hidden_states=True)
    want = out.hidden_states[-2][0, : rows * columns]
    encoder = build(towers, folder)
    resized = image.resize((columns * PATCH, rows * PATCH), Image.Resampling.BILINEAR)
    raw = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (encoder.mean, encoder.std))
    got = encoder(((raw - mean) / std)[None])
    assert encoder.resample == "bilinear"
    torch.testing.assert_close(got[0].flatten(0, 1), want, rtol=1e-4, atol=1e-4)


@every
def test_views_do_not_depend_on_their_neighbours(towers, folder: str) -> None:
    encoder = build(towers, folder)
    with torch.no_grad():
        together = encoder(pixels(32, 32, views=3))
        alone = torch.cat([encoder(view[None]) for view in pixels(32, 32, views=3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "folder", "found"),
    [
        ("clip", "siglip", "siglip"),
        ("siglip", "siglip2", "siglip2"),
        ("siglip2", "siglip_vision", "siglip_vision_model"),
        ("dinov2", "clip", "clip"),
    ],
)
def test_another_family(towers, name: str, folder: str, found: str) -> None:
    with pytest.raises(ConfigError, match=f"encoder.path: .*'{found}' checkpoint"):
        build_part(
            "diglot.models.encoders", {"name": name, "path": str(towers[folder])}, where="encoder"
        )


@every
@pytest.mark.parametrize("layer", [LAYERS + 1, -LAYERS - 2])
def test_layer_it_does_not_have(towers, folder: str, layer: int) -> None:
    with pytest.raises(ConfigError, match=rf"encoder\.layer: the tower has 3 layers; got {layer}"):
        build(towers, folder, layer=layer)


def broken(towers: dict[str, Path], tmp_path: Path, how: str) -> Path:
    folder = tmp_path / "tower"
    shutil.copytree(towers["siglip_vision"], folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    match how:
        case "no folder":
            shutil.rmtree(folder)
        case "no config":
            config.unlink()
        case "garbage config":
            config.write_bytes(b"\xff\x00{")
        case "config of nothing":
            config.write_text("{}")
        case "unknown family":
            config.write_text(json.dumps({"model_type": "no_such_family"}))
        case "no weights":
            weights.unlink()
        case "pickled weights":
            torch.save({}, folder / "pytorch_model.bin")
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-1000])
        case "garbage weights":
            weights.write_bytes(b"not safetensors at all")
        case "other shape":
            payload = json.loads(config.read_text())
            config.write_text(json.dumps({**payload, "hidden_size": 64}))
        case "more layers":
            payload = json.loads(config.read_text())
            config.write_text(json.dumps({**payload, "num_hidden_layers": 4}))
    return folder


@pytest.mark.parametrize(
    "how",
    [
        *("no folder", "no config", "garbage config", "config of nothing", "unknown family"),
        *("no weights", "pickled weights", "cut weights", "garbage weights"),
        *("other shape", "more layers"),
    ],
)
def test_broken_checkpoint_is_a_config_error(towers, tmp_path: Path, how: str) -> None:
    folder = broken(towers, tmp_path, how)
    with pytest.raises(ConfigError, match=r"encoder\.path") as error:
        build_part("diglot.models.encoders", {"name": "siglip", "path": str(folder)}, where="e")
    assert str(folder) in str(error.value)


def test_revision_changes_with_weights_and_settings(towers, tmp_path: Path) -> None:
    folder = tmp_path / "tower"
    shutil.copytree(towers["clip"], folder)
    mine = {"clip": folder}
    first = build(mine, "clip").revision
    assert build(mine, "clip").revision == first
    others = {build(mine, "clip", **s).revision for s in ({"layer": -1}, {"image_px": 64})}
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        model.vision_model.pre_layrnorm.weight.add_(1)
    model.save_pretrained(folder)
    others.add(build(mine, "clip").revision)
    assert len(others | {first}) == 4
