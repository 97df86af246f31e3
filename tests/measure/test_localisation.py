from dataclasses import replace

import numpy as np
import pytest
import torch

from diglot.core import masks
from diglot.core.preprocess import Preprocess
from diglot.core.region_cover import region_pixels
from diglot.core.types import Region
from diglot.measure.config import MeasureConfig
from diglot.measure.named_objects import word_cosines
from diglot.measure.parts import localisation
from diglot.measure.plan import Subject
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.models.words import label_vectors
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

CONFIG = MeasureConfig(bootstrap_draws=50)


def scenes(vlm, seeds):
    samples = [tiny_sample(i, objects=2, size_hw=(64, 64)) for i in seeds]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


def painted(vlm, projected):
    """The same scene with every token at its object's word vector, by the share it covers."""
    visual = torch.full_like(projected.visual_PD, 1e-3)
    names = [region.name for region in projected.sample.regions]
    for name, vector in label_vectors(names, vlm.language).items():
        for region in projected.sample.regions:
            if region.name == name:
                cover = projected.grid.mask_cover(region_pixels(region, projected.sample.size_hw))
                visual += torch.from_numpy(cover).float()[:, None] * vector / vector.norm()
    return ProjectedSample(projected.sample, projected.grid, visual)


def measured(vlm, held_out, training, **settings):
    subject = Subject(vlm=vlm, held_out=held_out, training=training, options=CONFIG)
    config = localisation.Config(**settings)
    plan = localisation.build(config, subject=subject, generator=np.random.default_rng(0))
    assert plan.questions == ()
    return plan.conclude([])


@pytest.mark.parametrize("mode", ["squash", "tiles"])
def test_tokens_painted_with_their_words_are_found(mode):
    preprocess = Preprocess(mode=mode, image_px=64 if mode == "squash" else 32)
    vlm = tiny_vlm(preprocess=preprocess, image_px=preprocess.image_px)
    held_out = [painted(vlm, projected) for projected in scenes(vlm, range(8))]
    training = [painted(vlm, projected) for projected in scenes(vlm, range(50, 58))]
    pointing, iou = measured(vlm, held_out, training)
    assert pointing.estimate.value > 0.9 > pointing.chance + 0.5
    assert pointing.details["touching the object"] >= pointing.estimate.value
    assert pointing.details["touching the object, by chance"] > pointing.chance
    assert iou.chance + 0.3 < iou.estimate.value <= iou.details["ceiling"]


def test_random_tokens_are_near_chance_and_the_threshold_is_of_training_scenes():
    vlm = tiny_vlm(image_px=64)
    held_out, training = scenes(vlm, range(30)), scenes(vlm, range(50, 60))
    pointing, iou = measured(vlm, held_out, training)
    assert pointing.estimate.low - 0.1 <= pointing.chance <= pointing.estimate.high + 0.1
    assert iou.estimate.value < iou.details["ceiling"]
    again = measured(vlm, held_out[:3], training)[1]
    assert again.details["cosine threshold"] == iou.details["cosine threshold"]
    other = measured(vlm, held_out[:3], held_out[3:13])[1]
    assert other.details["cosine threshold"] != iou.details["cosine threshold"]


def test_regions_of_one_name_count_together():
    vlm = tiny_vlm(image_px=64)
    (projected,) = scenes(vlm, [3])
    one_name = tuple(replace(r, label="dog") for r in projected.sample.regions)
    same = ProjectedSample(
        replace(projected.sample, regions=one_name), projected.grid, projected.visual_PD
    )
    pointing, iou = measured(vlm, [same], [same])
    assert pointing.estimate.n == iou.estimate.n == 1


def test_without_scenes_or_threshold_nothing_is_measured():
    vlm = tiny_vlm()
    held_out = scenes(vlm, [0])
    pointing, iou = measured(vlm, held_out, [])
    assert pointing.estimate.n == 2
    assert iou.estimate.value is None
    none = measured(vlm, held_out, held_out, scenes=0)
    assert [m.estimate.value for m in none] == [None, None]


def test_a_region_without_a_mask_is_its_box_and_a_hidden_one_asks_nothing():
    box = region_pixels(Region(phrase="x", box=(-0.5, 1, 2.5, 20.6)), (16, 8))
    assert box.sum() == 2.5 * 15
    assert box[1:, :2].all()
    hidden = masks.encode_mask(np.zeros((64, 64), bool))
    vlm = tiny_vlm(image_px=64)
    (projected,) = scenes(vlm, [3])
    first, second = projected.sample.regions
    sample = replace(projected.sample, regions=(replace(first, mask=hidden), second))
    assert (
        measured(vlm, [ProjectedSample(sample, projected.grid, projected.visual_PD)], [])[
            0
        ].estimate.n
        == 1
    )


def test_cosines_of_zero_vectors_are_zero():
    got = word_cosines(
        torch.tensor([[0.0, 0.0], [2.0, 0.0], [-1.0, 1.0]]), torch.tensor([3.0, 0.0])
    )
    assert got == pytest.approx([0.0, 1.0, -(0.5**0.5)])
    assert (word_cosines(torch.ones(2, 3), torch.zeros(3)) == 0).all()
