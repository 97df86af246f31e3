import contextlib

import pytest
import torch

from diglot.core.preprocess import Preprocess
from diglot.core.types import Region
from diglot.measure.projected import eval_mode, object_tokens, project_samples
from tests.tiny import tiny_sample, tiny_views, tiny_vlm


@pytest.mark.parametrize("mode", ["squash", "tiles"])
def test_pixels_and_features_give_the_same_tokens_one_by_one_and_together(mode):
    vlm = tiny_vlm(preprocess=Preprocess(mode=mode, image_px=32), unshuffle=2)
    samples = [tiny_sample(i, size_hw=(48, 64 + 32 * (i % 2))) for i in range(20)]
    pixels = project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")
    features = project_samples(vlm, samples, lambda s: vlm.features(tiny_views(s, vlm)))
    for sample, one, other in zip(samples, pixels, features, strict=True):
        alone = project_samples(vlm, [sample], lambda s: tiny_views(s, vlm), views_are="pixels")[0]
        assert one.sample is sample
        assert one.visual_PD.shape == (len(one.grid), vlm.language.width)
        torch.testing.assert_close(one.visual_PD, other.visual_PD)
        torch.testing.assert_close(one.visual_PD, alone.visual_PD)


def test_seeing_makes_no_graph_and_leaves_modes_as_they_were():
    vlm = tiny_vlm()
    vlm.projector.train()
    before = [module.training for module in vlm.modules()]
    projected = project_samples(
        vlm, [tiny_sample()], lambda s: tiny_views(s, vlm), views_are="pixels"
    )
    assert not projected[0].visual_PD.requires_grad
    assert [module.training for module in vlm.modules()] == before
    with contextlib.suppress(RuntimeError), eval_mode(vlm):
        assert not any(module.training for module in vlm.modules())
        raise RuntimeError
    assert [module.training for module in vlm.modules()] == before


def test_object_tokens_are_all_that_the_box_overlaps():
    grid = Preprocess(image_px=32).token_grid((64, 64), patch_px=8)  # cells of 16 px
    assert object_tokens(grid, Region(phrase="x", box=(16, 0, 32, 17))) == (1, 5)
    crop = Preprocess(mode="center_crop", image_px=32).token_grid((32, 96), patch_px=8)
    assert object_tokens(crop, Region(phrase="x", box=(0, 0, 20, 20))) == ()
