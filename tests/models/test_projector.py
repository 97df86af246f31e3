"""Unshuffle and the MLP projector."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError
from diglot.models.encoder import unshuffle_cells

sides = st.integers(1, 4)


def build(*, encoder_width: int = 6, llm_width: int = 10, embeddings_rms: float = 0.3, **settings):
    torch.manual_seed(0)
    return build_part(
        "diglot.models.projectors",
        {"name": "mlp", **settings},
        where="projector",
        encoder_width=encoder_width,
        llm_width=llm_width,
        embeddings_rms=embeddings_rms,
    )


@settings(max_examples=40, derandomize=True, deadline=None)
@given(sides, sides, sides, st.integers(1, 3))
def test_unshuffle_by_a_loop(views: int, rows: int, columns: int, factor: int) -> None:
    features = torch.randn(views, rows * factor, columns * factor, 5)
    got = unshuffle_cells(features, factor)
    assert got.shape == (views, rows, columns, 5 * factor**2)
    for v, r, c in np.ndindex(views, rows, columns):
        block = [
            features[v, r * factor + dy, c * factor + dx]
            for dy in range(factor)
            for dx in range(factor)
        ]
        assert got[v, r, c].equal(torch.cat(block))


@pytest.mark.parametrize("size_hw", [(3, 4), (4, 3)])
def test_grid_that_cannot_be_unshuffled(size_hw: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"projector\.unshuffle: a grid of . x . features"):
        unshuffle_cells(torch.zeros(1, *size_hw, 2), 2)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", nn.functional.gelu),
        ("quick_gelu", lambda x: x / (1 + torch.exp(-1.702 * x))),
        ("silu", lambda x: x / (1 + torch.exp(-x))),
    ],
)
@pytest.mark.parametrize("norm", [False, True])
@torch.no_grad()
def test_it_is_linear_activation_linear(name: str, function, norm: bool) -> None:
    mlp = build(activation=name, hidden=7, unshuffle=2, input_norm=norm)
    x = torch.randn(9, 24)
    inner = nn.functional.layer_norm(x, (24,)) if norm else x
    want = function(inner @ mlp.fc1.weight.T + mlp.fc1.bias) @ mlp.fc2.weight.T + mlp.fc2.bias
    torch.testing.assert_close(mlp.map_merged(x), want)
    assert mlp.fc1.weight.shape == (7, 24)
    assert mlp.fc2.weight.shape == (10, 7)


def test_the_middle_is_as_wide_as_the_llm_by_default() -> None:
    assert build().fc1.out_features == 10
    assert build(hidden=3).fc1.out_features == 3


@torch.no_grad()
def test_output_starts_as_loud_as_the_words() -> None:
    x = torch.randn(4000, 6, generator=torch.Generator().manual_seed(1))
    for embeddings_rms in (0.05, 2.0):
        matched, default = (
            build(embeddings_rms=embeddings_rms, match_words=m).map_merged(x) for m in (True, False)
        )
        assert matched.square().mean().sqrt() == pytest.approx(embeddings_rms, rel=0.15)
        assert default.square().mean().sqrt() != pytest.approx(embeddings_rms, rel=0.5)


def test_it_may_start_larger_than_the_words():
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(1))
    plain, large = (build(start_scale=scale) for scale in (1.0, 4.0))
    torch.testing.assert_close(large.map_merged(x), 4 * plain.map_merged(x))


def test_the_start_is_the_global_generators_alone() -> None:
    assert build().fc1.weight.equal(build().fc1.weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unshuffle": 0}, r"projector.*unshuffle.*got 0"),
        ({"hidden": 0}, r"projector.*hidden"),
        ({"activation": "relu"}, "projector.*activation"),
        ({"unshufle": 2}, r"projector: unknown field 'unshufle'.*unshuffle"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        build(**settings)
