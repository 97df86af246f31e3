"""Encoders joined along channels: every part sees the view as it would alone."""

import pytest
import torch

from diglot.config.parts import part_config, resolved_part
from diglot.core.errors import ConfigError
from diglot.models.encoder import Encoder
from diglot.models.encoders import combined
from diglot.models.encoders.combined import Combined, Config, on_grid
from tests.tiny import TinyEncoder

TWO: list = ["efficientnet_lite0", "mobilesam"]


class OtherEncoder(TinyEncoder):
    """The tiny encoder with other statistics and size."""

    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    revision = "own"


def join(*parts, **settings) -> Combined:
    return Combined(parts, Config(encoders=TWO, **settings))


def pixels(side: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_parts_of_one_size_stand_side_by_side() -> None:
    one, other = TinyEncoder(), OtherEncoder(seed=1)
    joined: Encoder = join(one, other)
    x = pixels()
    features = joined(x)
    assert (joined.width, joined.patch_px, joined.image_px) == (24, 8, 32)
    assert features.shape == (2, 4, 4, 24)
    torch.testing.assert_close(features[..., :12], one(x))
    colours = x * 0.5 + 0.5  # back from the first part's statistics
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (other.mean, other.std))
    torch.testing.assert_close(features[..., 12:], other((colours - mean) / std))


@torch.no_grad()
def test_a_part_of_another_size_sees_the_view_at_its_own() -> None:
    small, large = TinyEncoder(image_px=32), TinyEncoder(image_px=64, seed=1)
    joined = join(small, large)
    flat = torch.full((1, 3, 32, 32), 0.7)
    features = joined(flat)
    # the larger one's cells are half as large in the view: four of them make a common cell
    assert joined.patch_px == 8
    assert features.shape == (1, 4, 4, 24)
    torch.testing.assert_close(features[..., 12:], large(torch.full((1, 3, 32, 32), 0.7)))
    fine = join(small, large, patch_px=4)(flat)
    assert fine.shape == (1, 8, 8, 24)


def test_a_finer_grid_is_averaged_and_a_coarser_one_interpolated() -> None:
    grid = torch.arange(16.0).view(1, 4, 4, 1)
    coarse = on_grid(grid, (2, 2))
    assert coarse.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    fine = on_grid(coarse, (4, 4))
    assert fine.shape == (1, 4, 4, 1)
    assert fine[0, 0, 0, 0] == 2.5  # corners stay, the inside lies between
    assert 2.5 < fine[0, 1, 1, 0] < 12.5
    assert on_grid(grid, (4, 4)) is grid


@torch.no_grad()
def test_normalised_parts_are_as_loud_as_one_another() -> None:
    loud = TinyEncoder(seed=1)
    loud.conv.weight.mul_(100)
    features = join(TinyEncoder(), loud, normalise=True)(pixels())
    for part in features.split(12, dim=-1):
        torch.testing.assert_close(part.square().mean(-1), torch.ones(2, 4, 4))


def test_the_cache_key_knows_parts_and_settings() -> None:
    parts = TinyEncoder(), OtherEncoder()
    revisions = {
        join(*parts).revision,
        join(*reversed(parts)).revision,
        join(*parts, normalise=True).revision,
        join(*parts, image_px=64).revision,
        join(*parts, patch_px=4).revision,
    }
    assert len(revisions) == 5


def test_members_are_spelled_out_and_their_mistakes_named() -> None:
    resolved = resolved_part(
        "diglot.models.encoders", {"name": "combined", "encoders": TWO}, where="encoder"
    )
    assert resolved["encoders"][1] == {"name": "mobilesam", "image_px": 448, "layer": "neck"}
    for wrong, match in (
        ([TWO[0]], "at least two"),
        ([TWO[0], "nope"], r"no part 'nope'.*mobilesam"),
        ([TWO[0], {"name": TWO[1], "image_px": 100}], r"encoders\[1\].*multiple of 16"),
        ([TWO[0], {"name": TWO[1], "size": 64}], "unknown field 'size'"),
    ):
        with pytest.raises(ConfigError, match=match):
            part_config(combined, {"encoders": wrong}, where="encoder")
    with pytest.raises(ConfigError, match=r"multiple of 5.*got 32"):
        join(TinyEncoder(), OtherEncoder(), patch_px=5)


@pytest.mark.embedded
@torch.no_grad()
def test_two_real_encoders() -> None:
    small = [{"name": name, "image_px": 64} for name in TWO]
    joined = combined.build(Config(encoders=small))
    assert joined(pixels(64)).shape == (2, 2, 2, 1280 + 256)
