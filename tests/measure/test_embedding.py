from typing import Any

import numpy as np
import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.core.region_cover import region_pixels
from diglot.measure.config import MeasureConfig
from diglot.measure.named_objects import find_objects
from diglot.measure.parts import embedding
from diglot.measure.plan import Subject
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.measure.word_space import caption_words, open_words, read_word_list
from diglot.metrics.align import RULES
from diglot.metrics.entropy import von_neumann_entropy
from diglot.metrics.matching_pursuit import matching_pursuit
from diglot.models.words import label_vectors
from tests.tiny import NAMES, tiny_sample, tiny_views, tiny_vlm

KEYS = [
    "entropy_before",
    "entropy_after",
    "entropy_drop",
    "align",
    "label_cosine",
    "tacs",
    "modality_gap",
    "pursuit_left",
    "norm_ratio",
]


@pytest.fixture(scope="module")
def vlm():
    return tiny_vlm(image_px=64)


@pytest.fixture(scope="module")
def scenes(vlm):
    samples = [tiny_sample(i, objects=2, size_hw=(64, 64)) for i in range(6)]
    return project_samples(
        vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels", keep_features=6
    )


def measured(vlm, held_out, **settings) -> dict[str, Any]:
    options = MeasureConfig(bootstrap_draws=50)
    subject = Subject(vlm=vlm, held_out=held_out, names=NAMES, options=options)
    plan = embedding.build(
        embedding.Config(**settings), subject=subject, generator=np.random.default_rng(0)
    )
    return {measure.key: measure for measure in plan.conclude([])}


def test_every_figure_is_its_definition(vlm, scenes):
    got = measured(vlm, scenes)
    assert list(got) == KEYS
    before = torch.cat([scene.features_ME for scene in scenes]).numpy()
    after = torch.cat([scene.visual_PD for scene in scenes]).numpy()
    one, other = von_neumann_entropy(before), von_neumann_entropy(after)
    assert one
    assert other
    assert got["entropy_before"].estimate.value == pytest.approx(one)
    assert got["entropy_after"].estimate.value == pytest.approx(other)
    assert got["entropy_drop"].estimate.value == pytest.approx(one - other)
    words = vlm.language.input_embeddings.weight.detach().numpy()
    left = matching_pursuit(after, words, steps=5).left_PK[:, -1].mean()
    assert got["pursuit_left"].estimate.value == pytest.approx(left, rel=1e-5)
    ratio = np.linalg.norm(after, axis=1).mean() / np.linalg.norm(words, axis=1).mean()
    assert got["norm_ratio"].estimate.value == pytest.approx(ratio, rel=1e-5)
    for measure in got.values():
        assert measure.estimate.low <= measure.estimate.value <= measure.estimate.high
        assert len(measure.what) > 50


def cosine(one, other) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def word_mean(table, tokenizer, word):
    """The mean embedding of a word's tokens behind another word; a space alone is none of them."""
    ids = tokenizer(" " + word)["input_ids"]
    return table[[i for i in ids if tokenizer.decode([i]) != " "]].mean(axis=0)


def test_consistency_gap_and_cosine_are_their_definitions(vlm, scenes, tmp_path):
    """SEA Eq. 14 and 5, Patch-aligned Table 3, token by token."""
    (tmp_path / "words.txt").write_text("dog\nred car\nbus\n")
    table = vlm.language.input_embeddings.weight.detach().numpy()
    tokenizer = vlm.language.tokenizer
    means = [word_mean(table, tokenizer, word) for word in ("dog", "red car", "bus")]
    tacs, gaps, labels = [], [], []
    for scene in scenes:
        visual, text = scene.visual_PD.numpy(), table[tokenizer(scene.sample.caption)["input_ids"]]
        best = sorted((max(cosine(v, t) for t in text) for v in visual), reverse=True)
        tacs.append(sum(best[:10]) / 10)
        gaps += [min(np.linalg.norm(v - w) for w in means) for v in visual]
        for word in dict.fromkeys(region.name for region in scene.sample.regions):
            named = [r for r in scene.sample.regions if r.name == word]
            mask = np.max([region_pixels(region, (64, 64)) for region in named], axis=0)
            centres = [(8 * (p // 8) + 4, 8 * (p % 8) + 4) for p in range(64)]
            on = [v for v, at in zip(visual, centres, strict=True) if mask[at] >= 0.5]
            labels.append(cosine(np.mean(on, axis=0), word_mean(table, tokenizer, word)))
    got = measured(vlm, scenes, word_list=str(tmp_path / "words.txt"))
    for key, values in (("tacs", tacs), ("modality_gap", gaps), ("label_cosine", labels)):
        assert got[key].estimate.value == pytest.approx(np.mean(values), rel=1e-4), key
        assert got[key].estimate.n == len(values), key


def painted(vlm, scene):
    """Every token at its object's word vector, by the share of the cell that it covers."""
    visual = torch.full_like(scene.visual_PD, 1e-4)
    names = [region.name for region in scene.sample.regions]
    for name, vector in label_vectors(names, vlm.language).items():
        for region in scene.sample.regions:
            if region.name == name:
                cover = scene.grid.mask_cover(region_pixels(region, scene.sample.size_hw))
                visual += torch.from_numpy(cover).float()[:, None] * vector
    return ProjectedSample(scene.sample, scene.grid, visual, scene.features_ME)


def test_tokens_painted_with_their_words_are_aligned(vlm, scenes):
    random, good = measured(vlm, scenes), measured(vlm, [painted(vlm, s) for s in scenes])
    for key in ("align", "label_cosine", "tacs"):
        assert good[key].estimate.value > random[key].estimate.value + 0.1, key
    assert good["modality_gap"].estimate.value < random["modality_gap"].estimate.value
    assert good["align"].estimate.value > good["align"].chance + 0.2
    oracle = measured(vlm, [painted(vlm, s) for s in scenes], threshold="oracle_area")
    assert oracle["align"].estimate.value > 0.5


def test_align_comes_by_every_rule(vlm, scenes):
    by_rule = measured(vlm, scenes)["align"].details
    assert list(by_rule) == [f"by the rule {rule}" for rule in RULES]
    for rule in RULES:
        alone = measured(vlm, scenes, threshold=rule, pursuit_scenes=0)["align"].estimate.value
        assert by_rule[f"by the rule {rule}"] == pytest.approx(alone)


def test_label_cosine_is_of_the_mean_token_on_the_object(vlm, scenes):
    (first, *_), vectors = find_objects(vlm, scenes[:1]), label_vectors(NAMES, vlm.language)
    on = first.inside_P if first.inside_P.any() else first.touching_P
    mean = scenes[0].visual_PD[torch.from_numpy(on)].mean(dim=0)
    name = scenes[0].sample.regions[0].name
    slow = torch.cosine_similarity(mean, vectors[name], dim=0)
    assert first.label_cosine == pytest.approx(float(slow), abs=1e-6)


def test_without_features_or_scenes_nothing_is_made_up(vlm, scenes):
    bare = [ProjectedSample(s.sample, s.grid, s.visual_PD) for s in scenes]
    got = measured(vlm, bare)
    assert got["entropy_before"].estimate.value is None
    assert got["entropy_drop"].estimate.value is None
    assert got["entropy_after"].estimate.value is not None
    assert all(m.estimate.value is None for m in measured(vlm, bare, scenes=0).values())


def test_words_are_whole_words_and_lists_are_read(vlm, tmp_path):
    samples = [tiny_sample(0)]
    words = caption_words(samples, NAMES)
    assert {"there", "is", "and", *NAMES} <= set(words)
    space = open_words(vlm.language, ["dog", " "])
    assert space.words == ("dog",)
    assert space.word_WD[0] == pytest.approx(label_vectors(["dog"], vlm.language)["dog"].numpy())
    path = tmp_path / "words.txt"
    path.write_text("dog\n\nred car\ndog\n")
    assert read_word_list(path) == ["dog", "red car"]
    path.write_text("\n")
    with pytest.raises(ConfigError, match="empty word list"):
        read_word_list(path)
    with pytest.raises(ConfigError, match="no such rule"):
        embedding.Config(threshold="best")  # type: ignore[arg-type]


def test_features_are_kept_as_they_enter_the_projector(vlm):
    samples = [tiny_sample(i) for i in range(3)]
    projected = project_samples(
        vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels", keep_features=2
    )
    assert projected[2].features_ME is None
    slow = vlm.features(tiny_views(samples[1], vlm))[0].flatten(0, 1)
    torch.testing.assert_close(projected[1].features_ME, slow)
