"""Diffusion features against whole passes of the pipelines' own models, at tiny random size."""

from pathlib import Path
from typing import Any

import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.models.config import LanguageConfig, Trainable
from diglot.models.encoders.diffusion import Config, build
from diglot.models.vlm import VLMConfig, build_vlm
from diglot.objectives import caption
from tests.models.encoders.tiny_diffusion import MAKE, save_pipeline
from tests.models.test_every_combination import take_step
from tests.tiny import tiny_sample

pytest.importorskip("diffusers")
pytestmark = pytest.mark.slow  # importing its pipelines takes seconds

every = pytest.mark.parametrize("kind", MAKE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: save_pipeline(kind, root / kind) for kind in MAKE}


def views(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def open_pipeline(folder: Path, kind: str) -> Any:
    import diffusers

    left_out: dict[str, Any] = {}
    if kind == "StableDiffusionImageVariationPipeline":
        left_out = {"safety_checker": None, "requires_safety_checker": False}
    if kind == "StableDiffusion3Pipeline":
        without = ("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor")
        left_out = dict.fromkeys(without)
    return getattr(diffusers, kind).from_pretrained(folder, **left_out)


def prompt_inputs(pipeline: Any, kind: str) -> dict[str, Any]:
    """The empty prompt by the text encoders themselves, or what stands for none."""
    if kind == "DiTPipeline":
        return {"class_labels": torch.tensor([10])}
    if kind == "StableDiffusionImageVariationPipeline":
        return {"encoder_hidden_states": torch.zeros(1, 1, 16)}
    made = [
        encoder(
            tokenizer("", padding="max_length", return_tensors="pt").input_ids,
            output_hidden_states=True,
        )
        for tokenizer, encoder in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (getattr(pipeline, "tokenizer_2", None), getattr(pipeline, "text_encoder_2", None)),
        )
        if encoder is not None
    ]
    if kind == "StableDiffusionPipeline":
        return {"encoder_hidden_states": made[0].last_hidden_state}
    joined = torch.cat([out.hidden_states[-2] for out in made], -1)
    if kind == "StableDiffusionXLPipeline":
        sizes = torch.tensor([[32.0, 32, 0, 0, 32, 32]])
        added = {"text_embeds": made[1].text_embeds, "time_ids": sizes}
        return {"encoder_hidden_states": joined, "added_cond_kwargs": added}
    clip = torch.nn.functional.pad(joined, (0, 4096 - joined.shape[-1]))
    embeds = torch.cat([clip, torch.zeros(1, 256, 4096)], 1)  # no T5: zeros in its place
    pooled = torch.cat([out.text_embeds for out in made], -1)
    return {"encoder_hidden_states": embeds, "pooled_projections": pooled}


def noisy_latents(pipeline: Any, kind: str, pixels: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Step 1 of each schedule by its definition, and the time that the model reads."""
    vae = pipeline.vae
    mean = vae.encode(pixels).latent_dist.mean
    mean = (mean - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, *mean.shape[1:], generator=generator)
    if kind == "StableDiffusion3Pipeline":
        sigma = 3 * 0.001 / (1 + 2 * 0.001)
        return (1 - sigma) * mean + sigma * noise, 1000 * sigma
    betas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000, dtype=torch.float64) ** 2
    kept = float((1 - betas[0]) * (1 - betas[1]))
    return kept**0.5 * mean + (1 - kept) ** 0.5 * noise, 1


@every
@torch.no_grad()
def test_features_are_those_of_a_whole_pass(folders, kind: str) -> None:
    pipeline, pixels = open_pipeline(folders[kind], kind), views(1)[..., :32]
    latents, time = noisy_latents(pipeline, kind, pixels)
    kept: list[torch.Tensor] = []
    is_unet = hasattr(pipeline, "unet")
    model = pipeline.unet if is_unet else pipeline.transformer
    if is_unet:
        model.up_blocks[0].register_forward_hook(lambda m, i, out: kept.append(out))
    else:  # what the last norm reads
        model.norm_out.register_forward_pre_hook(lambda m, inputs: kept.append(inputs[0]))
    model(latents, timestep=torch.tensor([time]), **prompt_inputs(pipeline, kind))
    want = kept[0].permute(0, 2, 3, 1) if is_unet else kept[0].unflatten(1, (8, 8))
    got = build(Config(path=str(folders[kind]), image_px=32))(pixels)
    assert got.shape == (1, 8, 8, want.shape[-1])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@every
@torch.no_grad()
def test_a_view_has_the_same_features_always(folders, kind: str) -> None:
    config = Config(path=str(folders[kind]), image_px=32)
    encoder, pixels = build(config), views(3)
    together = encoder(pixels)
    alone = torch.cat([encoder(view[None]) for view in pixels])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    other = build(Config(path=str(folders[kind]), image_px=32, seed=1, timestep=400))
    assert not torch.allclose(other(pixels), together, atol=1e-3)
    assert other.revision != encoder.revision == build(config).revision


def test_it_trains_a_projector(folders, language_folder: Path) -> None:
    path = str(folders["StableDiffusionPipeline"])
    config = VLMConfig(
        encoder={"name": "diffusion", "path": path, "image_px": 32},
        projector={"name": "mlp", "hidden": 16},
        language=LanguageConfig(path=str(language_folder)),
    )
    vlm = build_vlm(config)
    take_step(vlm, caption.build(caption.Config()), tiny_sample(1), Trainable())
    assert not any(p.grad is not None for p in vlm.encoder.parameters())


def test_what_it_cannot_read(folders, tmp_path: Path) -> None:
    folder = str(folders["StableDiffusionPipeline"])
    with pytest.raises(ConfigError, match="multiples of 8 px"):
        build(Config(path=folder, image_px=36))
    with pytest.raises(ConfigError, match="beyond the noise schedule"):
        build(Config(path=folder, image_px=32, timestep=1000))
    with pytest.raises(ConfigError, match="at least 0"):
        Config(path=folder, timestep=-1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ConfigError, match="'FluxPipeline' pipeline"):
        build(Config(path=str(tmp_path / "other")))
    with pytest.raises(ConfigError, match="no such folder"):
        build(Config(path=str(tmp_path / "nothing")))


def test_code_of_a_checkpoints_own_is_not_run(tmp_path: Path) -> None:
    folder = save_pipeline("DiTPipeline", tmp_path / "own")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"diffusers",\n    "DiT', '"mine",\n    "DiT'))
    with pytest.raises(ConfigError, match="a class of 'mine'"):
        build(Config(path=str(folder), image_px=32))


def test_a_missing_weight_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_pipeline("DiTPipeline", tmp_path / "torn")
    file = next((folder / "transformer").glob("*.safetensors"))
    state = load_file(file)
    state.pop(next(iter(state)))
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="lacks 1 weights"):
        build(Config(path=str(folder), image_px=32))
