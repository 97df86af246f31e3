"""Every projector says the grid that comes out; linear and C-Abstractor; cells that overlap."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLPatchMerger

from diglot.config.parts import known_parts
from diglot.core import masks
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid, View
from diglot.core.merging import AveragePool, Unshuffle
from diglot.core.preprocess import Preprocess
from diglot.core.types import Region, Sample
from diglot.models.projector import check_projector
from diglot.models.projectors import c_abstractor, linear, mlp, patch_merger
from diglot.models.vlm import VLM
from diglot.objectives import patch_aligned
from tests.tiny import TinyEncoder, tiny_language, tiny_tokenizer

VIEW = View(resize_hw=(48, 48), window=(0, 0, 48, 48), grid_hw=(6, 6), cell_px=8)
NEEDS = {"encoder_width": 12, "llm_width": 32, "embeddings_rms": 0.3}
SMALL = c_abstractor.Config(input_side=6, output_side=4, hidden=16, depth=2)


def made() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "linear": linear.build(linear.Config(unshuffle=2), **NEEDS),
        "mlp": mlp.build(mlp.Config(unshuffle=3), **NEEDS),
        "c_abstractor": c_abstractor.build(SMALL, **NEEDS),
        "patch_merger": patch_merger.build(patch_merger.Config(), **NEEDS),
    }


def test_every_projector_gives_the_grid_that_it_states() -> None:
    assert set(made()) == set(known_parts("diglot.models.projectors"))
    for projector in made().values():
        check_projector(projector, VIEW, encoder_width=12, width=32)
        features = torch.randn(3, 6, 6, 12)
        tokens = projector(features)
        assert tokens.shape == (3, *projector.merging.merge_view(VIEW).grid_hw, 32)
        torch.testing.assert_close(projector(features[1:2]), tokens[1:2])
        assert tokens.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.35)


class Halves(nn.Module):
    """Eight tokens for sixteen cells."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 32)

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        return self.fc(features_VhwE[:, ::2])


def test_eight_tokens_for_sixteen_cells_are_refused() -> None:
    view = View(resize_hw=(32, 32), window=(0, 0, 32, 32), grid_hw=(4, 4), cell_px=8)
    message = r"not the grid that it states; expected .*\(1, 4, 4, 32\); got \(1, 2, 4, 32\)"
    with pytest.raises(ConfigError, match=message):
        check_projector(Halves(), view, encoder_width=12, width=32)
    flat = nn.Sequential(nn.Linear(12, 32), nn.Flatten(0, 2))
    with pytest.raises(ConfigError, match=r"not the grid.*got \(16, 32\)"):
        check_projector(flat, view, encoder_width=12, width=32)


def test_linear_is_one_matrix_on_each_block() -> None:
    projector = linear.build(linear.Config(unshuffle=2), **NEEDS)
    features = torch.randn(1, 4, 4, 12)
    block = torch.cat([features[0, 2, 0], features[0, 2, 1], features[0, 3, 0], features[0, 3, 1]])
    want = projector.fc.weight @ block + projector.fc.bias
    torch.testing.assert_close(projector(features)[0, 1, 0], want)


def test_the_patch_merger_is_qwens() -> None:
    """Weights under its own class's names; the features of a block in its order."""
    ours = patch_merger.build(patch_merger.Config(), **NEEDS)
    stock = Qwen2_5_VLPatchMerger(dim=32, context_dim=12)
    layers = {"ln_q": ours.norm, "mlp.0": ours.fc1, "mlp.2": ours.fc2}
    torch.nn.init.normal_(ours.norm.weight)
    for name, layer in layers.items():
        stock.get_submodule(name).load_state_dict(layer.state_dict())
    features = torch.randn(1, 4, 4, 12)
    block = torch.stack([features[0, r, c] for r in (2, 3) for c in (0, 1)])
    torch.testing.assert_close(ours(features)[0, 1, 0], stock(block)[0])


@pytest.mark.parametrize(
    ("sides", "count"), [((24, 24), 16), ((6, 6), 4), ((5, 7), 3), ((4, 4), 4)]
)
def test_a_pooled_cell_is_its_pooling_window(sides: tuple[int, int], count: int) -> None:
    """A cell covers exactly the features whose change changes what adaptive pooling gives."""
    rows, columns = sides
    view = View(
        resize_hw=(rows * 8, columns * 8),
        window=(0, 0, columns * 8, rows * 8),
        grid_hw=sides,
        cell_px=8,
    )
    grid = TokenGrid(
        (rows * 8, columns * 8), (AveragePool((count, count), sides).merge_view(view),)
    )
    assert len(grid) == count**2
    features = torch.zeros(1, 1, rows, columns, requires_grad=True)
    pooled = nn.functional.adaptive_avg_pool2d(features, count).flatten()
    for token, cell in zip(pooled, grid.cells_P4, strict=True):
        (reached,) = torch.autograd.grad(token, features, retain_graph=True)
        y, x = reached[0, 0].nonzero(as_tuple=True)
        window = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
        assert (cell / 8).tolist() == window


def test_cover_of_overlapping_cells() -> None:
    view = AveragePool((16, 16), (24, 24)).merge_view(
        View(resize_hw=(24, 24), window=(0, 0, 24, 24), grid_hw=(24, 24), cell_px=1)
    )
    grid = TokenGrid((24, 24), (view,))
    assert grid.cells_P4[:3, [0, 2]].tolist() == [[0, 2], [1, 3], [3, 5]]
    cover = grid.box_cover((0.0, 0.0, 1.5, 24.0)).reshape(16, 16)
    assert cover[0, :3].tolist() == [0.75, 0.25, 0.0]
    mask = np.zeros((24, 24), bool)
    mask[:, :1] = True
    assert grid.mask_cover(mask).reshape(16, 16)[5, :3].tolist() == [0.5, 0.0, 0.0]


def c_abstractor_vlm() -> VLM:
    torch.manual_seed(0)
    encoder, projector = TinyEncoder(image_px=48), c_abstractor.build(SMALL, **NEEDS)
    return VLM(encoder, projector, tiny_language(), Preprocess(image_px=48)).eval()


def test_patch_aligned_on_overlapping_cells() -> None:
    """An object over one whole pooling window, and over parts of its neighbours."""
    vlm = c_abstractor_vlm()
    grid = vlm.token_grid((48, 48))
    assert (len(grid), len(vlm.feature_grid((48, 48)))) == (16, 36)
    mask = np.zeros((48, 48), bool)
    mask[:16, :16] = True  # features 0 and 1 of both axes: token 0's window, half of token 1's
    region = Region(phrase="dog", box=(0.0, 0.0, 16.0, 16.0), mask=masks.encode_mask(mask))
    sample = Sample.captioned(
        id="s", image=b"", size_hw=(48, 48), caption="a dog", regions=(region,)
    )
    for least, tokens in ((0.5, [0, 1, 4]), (0.6, [0]), (0.25, [0, 1, 4, 5])):
        objective = patch_aligned.build(patch_aligned.Config(min_cover=least))
        made = objective.prepare(sample, (grid,), tiny_tokenizer(), torch.Generator())
        assert [pair.patch_K.tolist() for pair in made.targets] == [tokens]
    visual = vlm.project([torch.randn(6, 6, 12), torch.randn(6, 6, 12)])
    assert visual.shape == (32, 32)


def test_the_wrong_input_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"views of one size; expected 6 x 6 .*got 4 x 4"):
        VLM(
            TinyEncoder(),
            c_abstractor.build(SMALL, **NEEDS),
            tiny_language(),
            Preprocess(image_px=32),
        ).token_grid((32, 32))
    with pytest.raises(ConfigError, match="cannot be unshuffled by 4"):
        Unshuffle(4).merge_view(VIEW)
    with pytest.raises(ConfigError, match=r"projector\.depth: must be at least 1"):
        c_abstractor.Config(depth=0)
