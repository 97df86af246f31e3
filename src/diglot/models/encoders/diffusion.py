"""Features of a diffusion model from one denoising pass (Law of Vision Representation, section 3).

The VAE's latents get the noise of step t, by default 1 (little noise), and are denoised once under
the empty prompt or the null class. The features are what comes out of a U-Net's first up-sampling
block, or of a transformer's last block.

The paper gives neither noise nor how it is drawn; here all views get one noise, drawn by `seed`, so
that a picture's features are always the same. The latents are the mean of the VAE's distribution.
Where the schedule is one of flow matching (Stable Diffusion 3), step t is its t-th least noisy.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from diglot.config.ranges import ImagePx, Seed
from diglot.core.errors import ConfigError
from diglot.models.encoder import RGB, Resample
from diglot.models.encoders._diffusers import DiffusionParts, load_pipeline


@dataclass(frozen=True, kw_only=True)
class Config:
    """A diffusion model by its checkpoint."""

    path: str
    """Checkpoint of `diffusers`: a local folder or a hub id. Known are Stable Diffusion 1.5, 2.1,
    image variations, XL and 3, and DiT."""
    image_px: ImagePx = 512
    """Side of a view in pixels (Law: 768 for Stable Diffusion 1.5, 2.1 and image variations)."""
    timestep: int = 1
    """The step of the noise schedule, from 0, the least noisy."""
    seed: Seed = 0
    """Seed of the noise."""
    revision: str | None = None
    """Git revision of a hub id."""

    def __post_init__(self) -> None:
        if self.timestep < 0:
            raise ConfigError("must be at least 0", got=self.timestep, where="encoder.timestep")


class _LayerReached(Exception):
    """Ends a pass where its features are known."""


class DiffusionEncoder(nn.Module):
    """Views to a grid of features; always in eval mode.

    Legend: V views, C latent channels, y x latent cells, h w grid cells, E encoder width.
    """

    mean: RGB = (0.5, 0.5, 0.5)
    std: RGB = (0.5, 0.5, 0.5)
    resample: Resample = "bicubic"

    def __init__(self, config: Config, parts: DiffusionParts) -> None:
        super().__init__()
        self.vae, self.denoiser = parts.vae, parts.denoiser
        self.vae.decoder = nn.Identity()  # nothing is drawn
        self.is_unet = parts.is_unet
        self.latent_px = 2 ** (len(parts.vae.config.block_out_channels) - 1)
        self.patch_px, self.width, self.multiple_px = _read_shape(parts, self.latent_px)
        self.image_px, self.seed = config.image_px, config.seed
        self.signal, self.noise, self.time = _read_schedule(parts, config.timestep)
        self._names = tuple(parts.condition)
        for number, value in enumerate(parts.condition.values()):
            self.register_buffer(f"condition_{number}", value, persistent=False)
        self.revision = _digest(config, parts)
        self._check_size(config.image_px, config.image_px)
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever `mode` is (see the class)."""
        return self

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """features_VhwE. Raises ConfigError for sides that do not fit the model's grids."""
        views, _, height, width = pixels_V3HW.shape
        self._check_size(height, width)
        noisy_VCyx = self._add_noise(self._encode_latents(pixels_V3HW))
        hidden = self._run_denoiser(noisy_VCyx)
        rows, columns = height // self.patch_px, width // self.patch_px
        if self.is_unet:  # (V, E, h, w)
            hidden = hidden.permute(0, 2, 3, 1)
        if hidden.numel() != views * rows * columns * self.width:
            raise ConfigError(
                "the model's features are of another shape than its settings say",
                expected=(views, rows, columns, self.width),
                got=tuple(hidden.shape),
                where="encoder",
            )
        return hidden.reshape(views, rows, columns, self.width).contiguous()

    def _encode_latents(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        latents_VCyx = self.vae.encode(pixels_V3HW).latent_dist.mode()
        shift = getattr(self.vae.config, "shift_factor", None) or 0.0
        return (latents_VCyx - shift) * self.vae.config.scaling_factor

    def _add_noise(self, latents_VCyx: torch.Tensor) -> torch.Tensor:
        """x_t = signal x + noise e, with one e for all views."""
        generator = torch.Generator().manual_seed(self.seed)
        noise_1Cyx = torch.randn(1, *latents_VCyx.shape[1:], generator=generator).to(latents_VCyx)
        return self.signal * latents_VCyx + self.noise * noise_1Cyx

    def _run_denoiser(self, noisy_VCyx: torch.Tensor) -> torch.Tensor:
        """What the layer of the features gives; the pass ends there."""
        kept: list[torch.Tensor] = []

        def keep_output(module: nn.Module, inputs: Any, output: Any) -> None:
            kept.append(output[-1] if isinstance(output, tuple) else output)
            raise _LayerReached

        blocks = self.denoiser.up_blocks if self.is_unet else self.denoiser.transformer_blocks
        handle = blocks[0 if self.is_unet else -1].register_forward_hook(keep_output)
        try:
            self.denoiser(noisy_VCyx, **self._inputs(noisy_VCyx))
        except _LayerReached:
            return kept[0]
        finally:
            handle.remove()
        raise AssertionError("the denoiser ended before its own layer")

    def _inputs(self, noisy_VCyx: torch.Tensor) -> dict[str, Any]:
        """Step and condition of every view."""
        views = len(noisy_VCyx)
        inputs: dict[str, Any] = {
            "timestep": torch.full((views,), self.time, device=noisy_VCyx.device)
        }
        for number, name in enumerate(self._names):
            value = self.get_buffer(f"condition_{number}")
            repeated = value.expand(views, *value.shape[1:])
            if name.startswith("added."):
                inputs.setdefault("added_cond_kwargs", {})[name.removeprefix("added.")] = repeated
            else:
                inputs[name] = repeated
        return inputs

    def _check_size(self, height: int, width: int) -> None:
        if height % self.multiple_px or width % self.multiple_px or not height * width:
            raise ConfigError(
                "views do not fit the model's grids",
                expected=f"sides that are multiples of {self.multiple_px} px",
                got=f"{height} x {width}",
                where="encoder.image_px",
            )


def _read_shape(parts: DiffusionParts, latent_px: int) -> tuple[int, int, int]:
    """(pixels of a feature's side, width, what a view's sides are multiples of)."""
    config = parts.denoiser.config
    if not parts.is_unet:
        side = latent_px * config.patch_size
        return side, config.num_attention_heads * config.attention_head_dim, side
    levels = len(config.block_out_channels)
    if levels < 2:
        raise ConfigError("a U-Net of one level samples nothing up", where="encoder.path")
    lowest = latent_px * 2 ** (levels - 1)
    return lowest // 2, config.block_out_channels[-1], lowest


def _read_schedule(parts: DiffusionParts, step: int) -> tuple[float, float, int | float]:
    """(share of the latents, share of the noise, time as the denoiser reads it) of a step."""
    scheduler: Any = parts.scheduler
    steps = scheduler.config.num_train_timesteps
    if step >= steps:
        raise ConfigError(
            "beyond the noise schedule",
            expected=f"0 to {steps - 1}",
            got=step,
            where="encoder.timestep",
        )
    if parts.is_flow:  # from the noisiest on; the least noisy is step 1 of it, as 0 has no noise
        sigma = scheduler.sigmas[-max(step, 1) - (len(scheduler.sigmas) > steps)].item()
        return 1 - sigma, sigma, sigma * steps
    kept = scheduler.alphas_cumprod[step].item()
    return kept**0.5, (1 - kept) ** 0.5, step


def _digest(config: Config, parts: DiffusionParts) -> str:
    """A digest of checkpoint and settings, for cache keys."""
    folder = Path(config.path)
    files = sorted(folder.rglob("*.safetensors")) if folder.is_dir() else []
    stamps = [(str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    modules = [dict(part.config) for part in (parts.vae, parts.denoiser, parts.scheduler)]
    payload = [vars(config), stamps, modules]
    text = json.dumps(payload, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build(config: Config) -> DiffusionEncoder:
    """The encoder. Raises ConfigError for a checkpoint or a size that is not known here."""
    return DiffusionEncoder(config, load_pipeline(config.path, config.revision, config.image_px))
