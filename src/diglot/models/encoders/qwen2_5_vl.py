"""The ViT of Qwen2.5-VL (Bai et al. 2025) at native resolution: its features before its merger.

MMCS puts its own 2 x 2 unshuffle and MLP behind it (Tables 2 and 3). The patches run in the tower's
order of windows and are put back to rows and columns here, which is checked against the merger's.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)
from transformers.vision_utils import get_vision_window_index

from diglot.config.ranges import ImagePx
from diglot.core.errors import ConfigError
from diglot.models.encoders._tower import CLIP_MEAN, CLIP_STD, TowerConfig, tower_revision
from diglot.models.pretrained import load_pretrained, read_pretrained


@dataclass(frozen=True, kw_only=True)
class Config:
    """The tower by the checkpoint of its vision-language model; the language model is not read."""

    path: str
    """Checkpoint of a Qwen2.5-VL: a local folder or a hub id."""
    image_px: ImagePx = 448
    """Side of a view where one is asked for; preprocess.mode native needs none."""
    revision: str | None = None
    """Git revision of a hub id."""


class _VisionAlone(Qwen2_5_VisionTransformerPretrainedModel):
    """The tower, loaded from the whole model's checkpoint without a word on the rest."""

    _keys_to_ignore_on_load_unexpected = [r"^(model|lm_head)\."]  # noqa: RUF012  as declared


class Qwen25ViT(nn.Module):
    """The tower as an Encoder: the last layer's features of every patch, before the merger."""

    mean, std, resample = CLIP_MEAN, CLIP_STD, "bicubic"

    def __init__(self, config: Config, tower: Any) -> None:
        super().__init__()
        self.tower = tower
        settings = tower.config
        self.width, self.patch_px = settings.hidden_size, settings.patch_size
        self.image_px = config.image_px
        described = TowerConfig(path=config.path, layer="last", revision=config.revision)
        self.revision = tower_revision(described, settings)
        self._check_order()

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """Features (V, rows, columns, E). Raises ConfigError for sides that are no whole blocks."""
        blocks_NME, shape = self._run(pixels_V3HW)[:2]
        views, rows, columns, merge = shape
        grid = blocks_NME.reshape(views, rows // merge, columns // merge, merge, merge, self.width)
        return grid.permute(0, 1, 3, 2, 4, 5).reshape(views, rows, columns, self.width)

    def _run(self, pixels_V3HW: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...], Any]:
        """Patches (N, M, E) of N blocks of M in order, their grid, and the tower's own output."""
        flat, shape = self.cut_patches(pixels_V3HW)
        views, rows, columns, merge = shape
        grid = torch.tensor([[1, rows, columns]] * views, device=pixels_V3HW.device)
        out = self.tower(flat, grid_thw=grid)
        settings = self.tower.config
        window_index, _ = get_vision_window_index(
            grid,
            spatial_merge_size=merge,
            window_size=settings.window_size,
            patch_size=self.patch_px,
        )
        blocks_NME = out.last_hidden_state.reshape(-1, merge * merge, self.width)
        return blocks_NME[torch.argsort(window_index)], shape, out

    def cut_patches(self, pixels_V3HW: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
        """Flat patches in the tower's order, a still picture repeated in time; views, rows, ..."""
        settings, patch = self.tower.config, self.patch_px
        merge, times = settings.spatial_merge_size, settings.temporal_patch_size
        views, _, height, width = pixels_V3HW.shape
        if height % (patch * merge) or width % (patch * merge):
            raise ConfigError(
                "the tower takes whole blocks of patches",
                expected=f"sides divisible by {patch * merge}",
                got=f"{height} x {width}",
                where="projector.unshuffle",
                fix=f"Set unshuffle: {merge}, or image_px to a multiple.",
            )
        rows, columns = height // patch, width // patch
        split = (views, 3, rows // merge, merge, patch, columns // merge, merge, patch)
        cut = pixels_V3HW.reshape(split).permute(0, 2, 5, 3, 6, 1, 4, 7)
        patches_N3PP = cut.reshape(views * rows * columns, 3, 1, patch, patch)
        flat = patches_N3PP.expand(-1, -1, times, -1, -1).flatten(1)
        return flat, (views, rows, columns, merge)

    @torch.no_grad()
    def _check_order(self) -> None:
        """The merger, given our order, must give the tower's own merged features.

        Raises ConfigError where it does not: then this version of transformers orders otherwise.
        """
        settings = self.tower.config
        cell = self.patch_px * settings.spatial_merge_size
        side = cell * (settings.window_size // cell + 1)  # of four windows, three cut short
        noise = torch.Generator().manual_seed(0)
        pixels_13HW = torch.randn((1, 3, side, side), generator=noise).to(self.tower.device)
        blocks_NME, _, out = self._run(pixels_13HW.to(self.tower.dtype))
        merged = self.tower.merger(blocks_NME.flatten(0, 1))
        if not torch.allclose(merged, out.pooler_output, rtol=1e-3, atol=1e-3):
            raise ConfigError(
                "the tower orders its patches in a way that is not known", where="encoder.path"
            )


def build(config: Config) -> Qwen25ViT:
    """The encoder. Raises ConfigError for a checkpoint of another family."""
    where = "encoder.path"
    found = read_pretrained(AutoConfig, config.path, where=where, revision=config.revision)
    if found.model_type != "qwen2_5_vl":
        raise ConfigError(
            f"{config.path} is a {found.model_type!r} checkpoint",
            expected="qwen2_5_vl",
            where=where,
        )
    tower = load_pretrained(
        _VisionAlone,
        config.path,
        where=where,
        config=found.vision_config,
        key_mapping={r"^(model\.)?visual\.": ""},
        revision=config.revision,
        dtype=torch.float32,
    )
    return Qwen25ViT(config, tower)
