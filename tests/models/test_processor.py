"""The processor turns records into inputs without the model."""

import pickle

import pytest
import torch

from diglot.core.types import Sample, Turn
from tests.tiny import tiny_sample, tiny_views, tiny_vlm


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_it_gives_what_the_model_takes(unshuffle: int) -> None:
    vlm, sample = tiny_vlm(unshuffle=unshuffle), tiny_sample(3)
    views = vlm.processor.sample_views(sample)
    for ours, models in zip(views, tiny_views(sample, vlm), strict=True):
        assert ours.equal(models)
    tokens = vlm.project(vlm.features(views))
    assert len(tokens) == sum(map(len, vlm.processor.token_grids(sample)))


def test_it_travels_without_weights() -> None:
    vlm, sample = tiny_vlm(), tiny_sample(3)
    packed = pickle.dumps(vlm.processor)
    assert len(packed) < 200_000  # a tokenizer of 320 entries, and a few numbers
    there = pickle.loads(packed)
    assert there.sample_views(sample)[0].equal(vlm.processor.sample_views(sample)[0])
    assert there.token_grid((48, 64)) == vlm.token_grid((48, 64))
    assert there.tokenizer("a dog").input_ids == vlm.language.tokenizer("a dog").input_ids


def test_several_images_and_none() -> None:
    vlm, one, two = tiny_vlm(), tiny_sample(0), tiny_sample(1, size_hw=(30, 40))
    answer = Turn(role="assistant", text="Two.", learn=True)
    both = Sample(
        id="c",
        images=one.images + two.images,
        sizes_hw=one.sizes_hw + two.sizes_hw,
        turns=(Turn(role="user", text="<image> and <image>?"), answer),
    )
    views = vlm.processor.sample_views(both)
    assert torch.stack(views).shape == (2, 3, 32, 32)
    assert len(vlm.processor.token_grids(both)) == 2
    none = Sample(id="n", images=(), sizes_hw=(), turns=(Turn(role="user", text="?"), answer))
    assert vlm.processor.sample_views(none) == vlm.processor.token_grids(none) == ()
    assert vlm.project([]).shape == (0, vlm.language.width)
