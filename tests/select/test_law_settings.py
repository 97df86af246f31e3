"""The settings of the law's Table 1 as they are bundled, on tiny towers of the same classes."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from diglot.config.recipes import find_recipe
from diglot.models.encoders._tower import CLIP_MEAN, HALF
from diglot.models.language import load_language
from diglot.select.paper_data import paper_law
from diglot.select.settings import build_setting, check_settings, read_settings, refused_settings
from tests.models.encoders.tiny_diffusion import save_pipeline
from tests.tiny_folders import save_language

NAME = "select/law_settings"
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
# repository -> class, patch and trained side, as its config has them
REPOSITORIES: dict[str, tuple[Any, Any, int, int]] = {
    "openai/clip-vit-large-patch14-336": (CLIPVisionConfig, CLIPVisionModel, 14, 336),
    "openai/clip-vit-large-patch14": (CLIPVisionConfig, CLIPVisionModel, 14, 224),
    "laion/CLIP-ViT-L-14-laion2B-s32B-b82K": (CLIPVisionConfig, CLIPVisionModel, 14, 224),
    "google/siglip-base-patch16-224": (SiglipVisionConfig, SiglipVisionModel, 16, 224),
    "google/siglip-large-patch16-256": (SiglipVisionConfig, SiglipVisionModel, 16, 256),
    "google/siglip2-large-patch16-256": (SiglipVisionConfig, SiglipVisionModel, 16, 256),
    "facebook/dinov2-large": (Dinov2Config, Dinov2Model, 14, 518),
}
# repository -> pipeline, and the levels of its VAE and U-Net as they are
PIPELINES = {
    "facebook/DiT-XL-2-512": ("DiTPipeline", (4, 0)),
    "stabilityai/stable-diffusion-xl-base-1.0": ("StableDiffusionXLPipeline", (4, 3)),
    "stabilityai/stable-diffusion-3-medium-diffusers": ("StableDiffusion3Pipeline", (4, 0)),
    "stabilityai/stable-diffusion-2-1": ("StableDiffusionPipeline", (4, 4)),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": ("StableDiffusionPipeline", (4, 4)),
    "lambdalabs/sd-image-variations-diffusers": ("StableDiffusionImageVariationPipeline", (4, 4)),
}
DIFFUSION_TOKENS = {
    "DiT": 1024,
    "SDXL": 1024,
    "SD3": 1024,
    "SD2.1": 576,
    "SD1.5": 576,
    "SDim": 576,
}
TOKENS = {
    "CLIP@336": 576,
    "CLIP@224": 256,
    "OpenCLIP": 256,
    "SigLIP-B": 196,
    "SigLIP-L": 256,
    "C+D@224": 256,
    "C+D@336": 576,
    "SigLIP2-L": 256,
    "DINOv2": 256,
}
RECIPE = "model: {{projector: {{name: mlp, hidden: 8}}, language: {{path: {language}}}}}\n"


def swap_paths(value: Any, root: Path) -> Any:
    """The settings with each repository's tiny folder in its place."""
    if isinstance(value, dict):
        return {key: swap_paths(inner, root) for key, inner in value.items()}
    if isinstance(value, list):
        return [swap_paths(inner, root) for inner in value]
    return str(root / value) if value in (*REPOSITORIES, *PIPELINES) else value


def read_bundled(root: Path, labels: Iterable[str]) -> Any:
    """These of the bundled settings, on the folders below `root`."""
    save_language(root / "language")
    bundled = yaml.safe_load(find_recipe(NAME).read_text("utf-8"))
    chosen = {label: bundled[label] for label in labels}
    (root / "settings.yaml").write_text(yaml.safe_dump(swap_paths(chosen, root)))
    (root / "recipe.yaml").write_text(RECIPE.format(language=root / "language"))
    places = {"data": root / "data", "split": "train", "out": root / "out", "features": root}
    return read_settings(str(root / "settings.yaml"), str(root / "recipe.yaml"), **places)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("law")
    for repository, (config, model, patch, side) in REPOSITORIES.items():
        tower: PreTrainedModel = model(config(patch_size=patch, image_size=side, **SIZES))
        tower.save_pretrained(root / repository)
    return read_bundled(root, TOKENS)


def test_labels_and_resolutions_are_the_tables() -> None:
    law, bundled = paper_law(), yaml.safe_load(find_recipe(NAME).read_text("utf-8"))
    assert list(bundled) == list(law.settings)
    assert refused_settings(NAME) == {}
    printed = yaml.safe_load((files("diglot.select") / "data" / "law.yaml").read_text("utf-8"))
    resolutions = {row["setting"]: row["resolution_px"] for row in printed["settings"]}
    families = dict(zip(law.settings, law.families, strict=True))
    assert set(DIFFUSION_TOKENS) == {k for k, family in families.items() if family == "diffusion"}
    for label, entry in bundled.items():
        parts = entry["encoder"].get("encoders") or [entry["encoder"]]
        layer = None if label in DIFFUSION_TOKENS else "last"
        assert {part.get("layer") for part in parts} == {layer}
        sides = {entry["preprocess"]["image_px"], *(part["image_px"] for part in parts)}
        assert sides == {resolutions[label]}


@pytest.mark.slow
def test_every_diffusion_setting_builds_with_its_grid(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    for repository, (kind, levels) in PIPELINES.items():
        save_pipeline(kind, tmp_path / repository, levels=levels)
    settings = read_bundled(tmp_path, DIFFUSION_TOKENS)
    language = load_language(settings[0].stage.model.language)
    labels = [setting.label for setting in settings]
    counts = check_settings(settings, language)
    assert dict(zip(labels, counts, strict=True)) == DIFFUSION_TOKENS


def test_every_setting_builds_with_the_tables_grid(settings: Any) -> None:
    language = load_language(settings[0].stage.model.language)
    tokens = dict(zip([s.label for s in settings], check_settings(settings, language), strict=True))
    assert tokens == TOKENS


@torch.no_grad()
def test_features_are_the_last_hidden_states_under_the_towers_statistics(settings: Any) -> None:
    by_label = {setting.label: setting for setting in settings}
    language = load_language(settings[0].stage.model.language)
    vlm = build_setting(by_label["OpenCLIP"], language)
    assert (vlm.encoder.mean, vlm.encoder.std) == (HALF, HALF)
    joined: Any = build_setting(by_label["C+D@224"], language).encoder
    assert joined.mean == CLIP_MEAN
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    clip: Any = joined.parts[0].tower
    want = clip(pixel_values=pixels).last_hidden_state[:, 1:]
    assert joined(pixels)[..., :16].flatten(1, 2).equal(want)
