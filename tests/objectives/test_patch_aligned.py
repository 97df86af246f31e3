"""Patch-aligned equals the paper's definition, value and gradient, and trains what it should."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from diglot.core import masks
from diglot.core.batch import Batch, ForwardOutput
from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.core.types import Region, Rle, Sample
from diglot.data.collate import collate_batch, encode_sample
from diglot.models.trainable import Trainable, set_trainable
from diglot.models.vlm import VLM
from diglot.objectives import patch_aligned
from diglot.objectives.patch_aligned import Config, PatchAlignedObjective
from tests.objectives.patch_naive import naive_patch_loss
from tests.tiny import tiny_sample, tiny_tokenizer, tiny_views, tiny_vlm

MODES = ("squash", "center_crop", "pad", "tiles", "native")
WIDTH = 6


def grid_of(sample: Sample, mode: str = "squash", *, unshuffle: int = 1):
    return Preprocess(mode=mode, image_px=32, min_pixels=1024, max_pixels=4096).token_grid(  # type: ignore[arg-type]
        sample.size_hw, patch_px=8, unshuffle=unshuffle
    )


def region(mask: np.ndarray | None = None, *, label: str = "dog", box=(1.0, 1.0, 9.0, 9.0)):
    rle = None if mask is None else masks.encode_mask(mask)
    return Region(phrase=f"a blue {label}", label=label, box=box, mask=rle)


def with_regions(*regions: Region, size_hw=(32, 32)) -> Sample:
    picture = tiny_sample(0, objects=1, size_hw=size_hw)
    return replace(picture, caption="a dog", regions=regions)


def rectangle(y0: int, x0: int, y1: int, x1: int, *, size_hw=(32, 32)) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def mixed_samples(seed: int) -> list[Sample]:
    """Masks, boxes alone, an object too small for any cell, duplicate labels, nothing at all."""
    first = tiny_sample(seed, objects=4, size_hw=(48, 64))
    unmasked = tuple(replace(r, mask=None) for r in first.regions[:2])
    speck = replace(
        first.regions[0], mask=masks.encode_mask(rectangle(5, 5, 7, 8, size_hw=(48, 64)))
    )
    return [
        replace(first, regions=(*unmasked, *first.regions[2:], speck)),
        replace(tiny_sample(seed + 1), regions=()),
        tiny_sample(seed + 2, objects=3, names=("dog",), size_hw=(40, 24)),
        tiny_sample(seed + 3, objects=6, names=("hot air balloon", "cat"), size_hw=(32, 50)),
    ]


def batch_of(objective: PatchAlignedObjective, samples, grids, views=None) -> Batch:
    encoded = []
    for i, (sample, grid) in enumerate(zip(samples, grids, strict=True)):
        made = objective.prepare(sample, (grid,), tiny_tokenizer(), torch.Generator())
        encoded.append(
            encode_sample(
                sample.id,
                made.sequence,
                (grid,),
                views[i] if views else (),
                views_are="pixels",
                terms=(),
                targets=made.targets,
                counts=dict(made.counts),
            )
        )
    return collate_batch(encoded, row_tokens=64)


def random_output(batch: Batch, seed: int = 0, dtype=torch.float64) -> ForwardOutput:
    generator = torch.Generator().manual_seed(seed)
    sizes = {"visual": sum(batch.visual_counts), "words": len(tiny_tokenizer())}
    made = {
        name: torch.randn(size, WIDTH, generator=generator, dtype=torch.float64)
        .to(dtype)
        .requires_grad_()
        for name, size in sizes.items()
    }
    return ForwardOutput(visual_ND=made["visual"], words_VD=made["words"])


def naive_total(samples, grids, out: ForwardOutput, **options):
    parts = out.visual_ND.split([len(grid) for grid in grids])
    losses = [
        naive_patch_loss(sample, grid.views, part, out.words_VD, tiny_tokenizer(), **options)
        for sample, grid, part in zip(samples, grids, parts, strict=True)
    ]
    return sum(loss for loss, _ in losses), sum(objects for _, objects in losses)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("seed", "unshuffle"), [(0, 1), (12, 2), (20, 1)])
def test_it_equals_loops_over_objects_tokens_and_pixels(mode, seed, unshuffle):
    samples = mixed_samples(seed)
    grids = [grid_of(sample, mode, unshuffle=unshuffle) for sample in samples]
    objective = patch_aligned.build(Config())
    batch = batch_of(objective, samples, grids)
    out = random_output(batch, seed)
    loss = objective.loss(out, batch).sums["patch"]
    naive, objects = naive_total(samples, grids, out)
    assert batch.counts == {"patch": objects}
    assert objects > 0
    torch.testing.assert_close(loss, naive, rtol=1e-9, atol=1e-9)
    ours = torch.autograd.grad(loss, (out.visual_ND, out.words_VD))
    slow = torch.autograd.grad(naive, (out.visual_ND, out.words_VD))
    torch.testing.assert_close(ours, slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("min_cover", [0.25, 0.75, 1.0])
@pytest.mark.parametrize("regions", ["mask", "mask_or_box"])
def test_the_options_equal_the_same_loops(min_cover, regions):
    samples = mixed_samples(5)
    grids = [grid_of(sample) for sample in samples]
    objective = patch_aligned.build(Config(min_cover=min_cover, regions=regions))
    batch = batch_of(objective, samples, grids)
    out = random_output(batch)
    naive, objects = naive_total(
        samples, grids, out, min_cover=Fraction(min_cover), boxes=regions == "mask_or_box"
    )
    assert batch.counts.get("patch", 0) == objects
    torch.testing.assert_close(objective.loss(out, batch).sums["patch"], naive)


def test_image_by_image_it_is_the_mean_of_eq5():
    samples = mixed_samples(3)
    grids = [grid_of(sample) for sample in samples]
    objective = patch_aligned.build(Config(mean_over="images"))
    batch = batch_of(objective, samples, grids)
    out = random_output(batch)
    per_image = [
        naive_total([sample], [grid], ForwardOutput(visual_ND=part, words_VD=out.words_VD))
        for sample, grid, part in zip(
            samples, grids, out.visual_ND.split([len(g) for g in grids]), strict=True
        )
    ]
    means = [total / objects for total, objects in per_image if objects]
    assert batch.counts == {"patch": len(means)}
    torch.testing.assert_close(objective.loss(out, batch).sums["patch"], sum(means))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cosine_is_in_float32(dtype):
    samples = mixed_samples(0)
    grids = [grid_of(sample) for sample in samples]
    objective = patch_aligned.build(Config())
    batch = batch_of(objective, samples, grids)
    out = random_output(batch, dtype=dtype)
    exact = ForwardOutput(visual_ND=out.visual_ND.double(), words_VD=out.words_VD.double())
    loss = objective.loss(out, batch).sums["patch"]
    assert loss.dtype == torch.float32
    expected = objective.loss(exact, batch).sums["patch"].float()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_half_a_cell_is_enough_and_less_is_not():
    """Cells are 8 x 8 pixels: the first is covered by exactly half, the next by a pixel less."""
    mask = rectangle(0, 0, 4, 16)
    mask[3, 15] = False
    sample = with_regions(region(mask))
    made = prepare(Config(), sample)
    assert [pair.patch_K.tolist() for pair in made.targets] == [[0]]


def test_an_exact_half_counts_where_the_scale_is_no_binary_fraction():
    """Every other row of pixels, under cells of 2 k rows and columns: each is covered by half."""
    preprocess = Preprocess(image_px=42)
    for k in range(1, 30):
        size_hw = (6 * k, 6 * k)
        mask = np.arange(6 * k)[:, None].repeat(6 * k, axis=1) % 2 == 0
        sample = with_regions(region(mask, box=(0.0, 0.0, 1.0, 1.0)), size_hw=size_hw)
        grid = preprocess.token_grid(size_hw, patch_px=14)
        made = patch_aligned.build(Config()).prepare(
            sample, (grid,), tiny_tokenizer(), torch.Generator()
        )
        assert [pair.patch_K.tolist() for pair in made.targets] == [list(range(9))]


def prepare(config: Config, sample: Sample, mode: str = "squash"):
    objective = patch_aligned.build(config)
    return objective.prepare(sample, (grid_of(sample, mode),), tiny_tokenizer(), torch.Generator())


def test_what_is_left_out_is_noted():
    sample = with_regions(
        region(rectangle(0, 0, 3, 3)),  # less than half of a cell
        region(np.zeros((32, 32), bool)),
        region(),
        region(rectangle(0, 0, 8, 8)),
    )
    made = prepare(Config(regions="mask"), sample)
    assert made.sequence is None
    assert made.counts == {"patch": 1}
    assert made.notes == {
        "object covers no visual token enough": 2,
        "object without a mask": 1,
    }


def test_an_object_beyond_the_crop_is_left_out():
    left = rectangle(0, 0, 32, 20, size_hw=(32, 96))
    made = prepare(Config(), with_regions(region(left), size_hw=(32, 96)), "center_crop")
    assert made.targets == ()
    assert made.notes == {"object covers no visual token enough": 1}


@pytest.mark.parametrize(("text", "said"), [("label", " dog"), ("phrase", " a blue dog")])
@pytest.mark.parametrize("leading_space", [True, False])
def test_which_words_stand_for_an_object(text, said, leading_space):
    sample = with_regions(region(rectangle(0, 0, 8, 8)))
    made = prepare(Config(text=text, leading_space=leading_space), sample)
    assert tiny_tokenizer().decode(made.targets[0].ids) == (said if leading_space else said[1:])


def test_without_a_label_its_phrase():
    sample = with_regions(replace(region(rectangle(0, 0, 8, 8)), label=None))
    assert tiny_tokenizer().decode(prepare(Config(), sample).targets[0].ids) == " a blue dog"


def test_images_without_objects_give_a_zero_that_is_connected():
    samples = [replace(tiny_sample(i), regions=()) for i in range(2)]
    objective = patch_aligned.build(Config())
    batch = batch_of(objective, samples, [grid_of(s) for s in samples])
    assert batch.counts == {}
    for batch_ in (batch, replace(batch, targets=(None, None))):
        out = random_output(batch)
        loss = objective.loss(out, batch_).sums["patch"]
        assert loss == 0
        assert out.visual_ND is not None
        (gradient,) = torch.autograd.grad(loss, out.visual_ND)
        assert not gradient.any()


def test_a_document_of_another_objective_adds_nothing():
    samples = mixed_samples(0)
    grids = [grid_of(sample) for sample in samples]
    objective = patch_aligned.build(Config())
    batch = batch_of(objective, samples, grids)
    out = random_output(batch)
    batch = replace(batch, targets=(None, *batch.targets[1:]))
    loss = objective.loss(out, batch).sums["patch"]
    first = len(grids[0])
    rest = ForwardOutput(visual_ND=out.visual_ND[first:], words_VD=out.words_VD)
    torch.testing.assert_close(loss, naive_total(samples[1:], grids[1:], rest)[0])


def test_a_broken_mask_is_named_with_its_region():
    broken = replace(region(rectangle(0, 0, 8, 8)), mask=Rle(size_hw=(32, 32), counts="0"))
    with pytest.raises(DataError, match=r"sample 'tiny/0', regions\[0\]\.mask: mask runs"):
        prepare(Config(), with_regions(broken))


@pytest.mark.parametrize("min_cover", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be(min_cover):
    with pytest.raises(ConfigError, match="min_cover"):
        Config(min_cover=min_cover)


def model_batch(vlm: VLM, objective: PatchAlignedObjective, samples) -> Batch:
    grids = [vlm.token_grid(sample.size_hw) for sample in samples]
    return batch_of(objective, samples, grids, [tiny_views(sample, vlm) for sample in samples])


def test_the_model_gives_all_it_reads_without_a_pass_through_the_llm(monkeypatch):
    vlm = tiny_vlm(preprocess=Preprocess(mode="pad", image_px=32))
    objective = patch_aligned.build(Config())
    samples = mixed_samples(3)
    batch = model_batch(vlm, objective, samples)
    monkeypatch.setattr(vlm.language, "decode", None)
    out = vlm(batch, objective.reads)
    assert out.words_VD is vlm.language.input_embeddings.weight
    loss = objective.loss(out, batch).sums["patch"]
    naive, _ = naive_total(samples, [grid for (grid,) in batch.grids], out)
    torch.testing.assert_close(loss, naive, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("language", [False, True])
def test_gradient_reaches_only_what_trains(language):
    vlm = tiny_vlm()
    set_trainable(vlm, Trainable(language=language))
    objective = patch_aligned.build(Config())
    batch = model_batch(vlm, objective, mixed_samples(0))
    objective.loss(vlm(batch, objective.reads), batch).sums["patch"].backward()
    reached = {name for name, p in vlm.named_parameters() if p.grad is not None and p.grad.any()}
    words = next(n for n, p in vlm.named_parameters() if p is vlm.language.input_embeddings.weight)
    projector = {f"projector.{name}" for name, _ in vlm.projector.named_parameters()}
    assert reached == projector | ({words} if language else set())


def test_two_samples_are_learned_by_heart():
    """The projector alone turns the objects' tokens to their labels' words."""
    vlm = tiny_vlm(hidden=64)
    set_trainable(vlm, Trainable())
    objective = patch_aligned.build(Config())
    batch = model_batch(vlm, objective, [tiny_sample(seed, objects=2) for seed in (0, 3)])
    optimizer = torch.optim.Adam(vlm.projector.parameters(), lr=1e-2)
    cosines = []
    for _ in range(120):
        loss = objective.loss(vlm(batch, objective.reads), batch).sums["patch"]
        cosines.append(1 - loss.item() / batch.counts["patch"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert cosines[0] < 0.5
    assert cosines[-1] > 0.9
