"""The joined model: as many visual tokens as the grid says, in its order, and parts that fit."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from diglot.core.batch import Batch
from diglot.core.errors import ConfigError
from diglot.core.layout import encode, pack
from diglot.core.preprocess import Preprocess
from diglot.core.segments import Image, Separator, Tokens
from diglot.core.types import Sample
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

MODES = ("squash", "center_crop", "pad", "tiles", "native")
VLMS = {factor: tiny_vlm(unshuffle=factor) for factor in (1, 2)}
sides = st.integers(20, 90)


def batch_of(vlm: VLM, samples: list[Sample]) -> Batch:
    grids = tuple(vlm.token_grid(s.size_hw) for s in samples)
    documents = [
        encode(
            (Tokens((0,)), Image(), Tokens((5, 6, 7), "text")),
            visual_counts=[len(grid)],
            terms=("text",),
        )
        for grid in grids
    ]
    return Batch(
        packed=pack(documents, row_tokens=200),
        views=tuple(view for s in samples for view in tiny_views(s, vlm)),
        views_are="pixels",
        grids=tuple((grid,) for grid in grids),
        ids=tuple(s.id for s in samples),
        targets=(None,) * len(samples),
        counts={},
    )


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.sampled_from(MODES), st.tuples(sides, sides), st.integers(1, 2), st.booleans())
@torch.no_grad()
def test_the_grid_counts_the_tokens_that_are_made(
    mode, size_hw: tuple[int, int], unshuffle: int, thumbnail: bool
) -> None:
    preprocess = Preprocess(
        mode=mode, image_px=32, max_tiles=4, thumbnail=thumbnail, min_pixels=900, max_pixels=5000
    )
    vlm = VLMS[unshuffle]
    vlm.processor = replace(vlm.processor, preprocess=preprocess)
    batch = batch_of(vlm, [tiny_sample(size_hw=size_hw)])
    visual = vlm.visual_tokens(batch)
    assert visual.shape == (batch.visual_counts[0], vlm.language.width)
    shapes = [view.grid_hw for view in vlm.feature_grid(size_hw).views]
    assert shapes == [tuple(f.shape[:2]) for f in vlm.features(batch.views)]


@pytest.mark.parametrize("mode", ["squash", "tiles", "native"])
@pytest.mark.parametrize("unshuffle", [1, 2])
@torch.no_grad()
def test_a_token_is_of_its_own_cell(mode: str, unshuffle: int) -> None:
    """Painting one cell of the picture moves the tokens that the grid says it covers, no others."""
    preprocess = Preprocess(mode=mode, image_px=32, min_pixels=1000, max_pixels=5000)
    vlm = tiny_vlm(preprocess=preprocess, unshuffle=unshuffle)
    vlm.encoder.resample = "bilinear"
    size_hw = (64, 96)
    plain = tiny_sample(size_hw=size_hw)
    box = (48, 16, 64, 32)
    picture = Picture.open(io.BytesIO(plain.image)).convert("RGB")
    picture.paste((255, 255, 0), box)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    painted = Sample.captioned(id="p", image=stream.getvalue(), size_hw=size_hw, caption="")
    before, after = (vlm.visual_tokens(batch_of(vlm, [s])) for s in (plain, painted))
    moved = (before - after).abs().amax(dim=-1) > 1e-4
    grid = vlm.token_grid(size_hw)
    reach = 6.0  # a resampling filter looks a little beyond its cell
    near = grid.box_cover((box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)) > 0
    inside = grid.box_cover(box) > 0
    assert inside.any()
    assert moved[torch.from_numpy(inside)].all()
    assert not moved[torch.from_numpy(~near)].any()


@torch.no_grad()
def test_views_of_several_shapes_stay_in_order() -> None:
    vlm = tiny_vlm(preprocess=Preprocess(mode="native", min_pixels=900, max_pixels=5000))
    samples = [tiny_sample(i, size_hw=hw) for i, hw in enumerate([(40, 64), (64, 40), (40, 64)])]
    together = vlm.visual_tokens(batch_of(vlm, samples))
    alone = torch.cat([vlm.visual_tokens(batch_of(vlm, [s])) for s in samples])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_cached_features_equal_pixels() -> None:
    vlm = tiny_vlm(unshuffle=2)
    batch = batch_of(vlm, [tiny_sample(0), tiny_sample(1)])
    cached = Batch(**{**vars(batch), "views": tuple(vlm.features(batch.views))})
    cached = Batch(**{**vars(cached), "views_are": "features"})
    assert vlm.visual_tokens(cached).equal(vlm.visual_tokens(batch))


@torch.no_grad()
def test_only_what_is_read_is_computed() -> None:
    vlm = tiny_vlm()
    batch = batch_of(vlm, [tiny_sample(0), tiny_sample(1)])
    passes = []
    vlm.language.model.base_model.register_forward_hook(lambda *_: passes.append(1))
    only_visual = vlm(batch, frozenset({"visual"}))
    assert passes == []
    assert only_visual.log_prob_S is None
    assert only_visual.hidden is None
    out = vlm(batch, frozenset({"log_probs", "hidden"}))
    assert passes == [1]
    assert len(out.hidden) == 3  # the embeddings, then both layers
    assert out.log_prob_S.equal(vlm.log_probs(batch.packed, out.visual_ND))
    assert out.visual_ND.equal(only_visual.visual_ND)
    assert vlm(batch, frozenset({"log_probs"})).hidden is None


@torch.no_grad()
def test_visual_tokens_stand_where_the_layout_says() -> None:
    vlm = tiny_vlm()
    batch = batch_of(vlm, [tiny_sample(0), tiny_sample(1)])
    visual = vlm.visual_tokens(batch)
    embeds, packed = vlm.embed(batch.packed, visual), batch.packed
    where = packed.visual_BT >= 0
    assert embeds[where].equal(visual[packed.visual_BT[where]])
    assert embeds[~where].equal(vlm.language.input_embeddings(packed.token_BT[~where]))


def config(towers: dict[str, Path], language_folder: Path, **fields) -> VLMConfig:
    defaults = {
        "encoder": {"name": "clip", "path": str(towers["clip"])},
        "language": LanguageConfig(path=str(language_folder)),
    }
    return VLMConfig(**{**defaults, **fields})


def test_build_joins_parts_that_fit(towers, language_folder: Path) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    vlm = build_vlm(config(towers, language_folder), seed=1)
    assert torch.get_rng_state().equal(state)  # nobody else's numbers change
    assert vlm.preprocess == Preprocess(image_px=32)
    assert vlm.projector.fc1.in_features == 32
    again, other = (build_vlm(config(towers, language_folder), seed=s) for s in (1, 2))
    assert again.projector.fc1.weight.equal(vlm.projector.fc1.weight)
    assert not other.projector.fc1.weight.equal(vlm.projector.fc1.weight)


def test_grid_that_cannot_be_unshuffled_names_the_field(towers, language_folder: Path) -> None:
    encoder = {"name": "clip", "path": str(towers["clip"]), "image_px": 40}
    with pytest.raises(ConfigError, match=r"projector\.unshuffle: a grid of 5 x 5"):
        build_vlm(
            config(
                towers,
                language_folder,
                encoder=encoder,
                projector={"name": "mlp", "unshuffle": 2},
            )
        )


OWN = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True, kw_only=True)
class Config:
    takes: int = 0
    gives: int = 0

def build(config, *, encoder_width, llm_width, embeddings_rms):
    return nn.Linear(encoder_width + config.takes, llm_width + config.gives)
"""


@pytest.mark.parametrize(
    ("misfit", "message"),
    [
        ({"takes": 1}, r"projector: encoder and projector do not fit.*features of 32 channels"),
        ({"gives": 1}, r"projector: projector and language model do not fit.*width 32.*33\)"),
    ],
)
def test_own_projector_that_does_not_fit(
    towers, language_folder: Path, tmp_path: Path, monkeypatch, misfit: dict, message: str
) -> None:
    (tmp_path / "own_projector.py").write_text(OWN)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "linear.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.delitem(sys.modules, "own.linear", raising=False)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        build_vlm(config(towers, language_folder, projector={"name": "own.linear", **misfit}))


@pytest.mark.parametrize("part", ["encoder", "projector"])
def test_unknown_part_names_the_known(towers, language_folder: Path, part: str) -> None:
    with pytest.raises(ConfigError, match=f"no part 'nope' in diglot.models.{part}s"):
        build_vlm(config(towers, language_folder, **{part: "nope"}))


def test_encoder_without_its_path(towers, language_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoder: .*path"):
        build_vlm(config(towers, language_folder, encoder="clip"))


def test_a_learned_separator_enters_where_it_stands() -> None:
    vlm = VLMS[1]
    document = encode((Tokens((0,)), Separator(vector=1), Image()), visual_counts=[2], terms=())
    packed, visual = pack([document], row_tokens=8), torch.randn(2, vlm.language.width)
    with pytest.raises(ConfigError, match="the projector learns none"):
        vlm.embed(packed, visual)
    vectors = torch.randn(2, vlm.language.width)
    vlm.projector.separators = torch.nn.Parameter(vectors)
    try:
        embeds = vlm.embed(packed, visual)
    finally:
        del vlm.projector.separators
    torch.testing.assert_close(embeds[0, 1], vectors[1])
    torch.testing.assert_close(embeds[0, 2:], visual)
