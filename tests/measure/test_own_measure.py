"""The example of a measure of one's own, as a user would choose it."""

from dataclasses import replace

import pytest

from diglot.measure.config import MeasureConfig
from diglot.measure.plan import Subject
from diglot.measure.projected import object_tokens, project_samples
from diglot.measure.runner import measure_alignment
from diglot.models.words import label_vectors
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

OWN = MeasureConfig(
    measures={"nearest": {"name": "examples.own_measure", "scenes": 4}}, bootstrap_draws=20
)


def test_it_is_chosen_by_its_path_and_scores_tokens_painted_with_their_names():
    vlm = tiny_vlm(image_px=64)
    samples = [tiny_sample(i, objects=2, size_hw=(64, 64)) for i in range(6)]
    scenes = project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")
    got = measure_alignment(Subject(vlm=vlm, held_out=scenes, options=OWN))["nearest_name"]
    assert got.estimate.n == 8
    assert got.chance == pytest.approx(0.5)
    assert got.options == {"scenes": 4}
    painted = []
    for scene in scenes:
        visual = scene.visual_PD.clone() * 0
        for region in scene.sample.regions:
            vector = label_vectors([region.name], vlm.language)[region.name]
            visual[list(object_tokens(scene.grid, region))] += vector
        painted.append(replace(scene, tokens=visual))
    good = measure_alignment(Subject(vlm=vlm, held_out=painted, options=OWN))["nearest_name"]
    assert good.estimate.value > 0.8
