"""VDEP's image mode equals its definition, loss and gradient, however it is packed and mixed."""

import dataclasses

import pytest
import torch

from diglot.core.batch import Batch, ForwardOutput
from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.data.collate import collate_batch, encode_sample
from diglot.models.config import Frame
from diglot.models.trainable import Trainable, set_trainable
from diglot.models.vlm import VLM
from diglot.objectives import caption, reconstruction
from diglot.objectives.reconstruction import Config
from tests.objectives.vdep_naive import naive_image_loss, naive_text_loss, pairs
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

OPTIONS = {
    "means": {},
    "eq. 6 as written": {"reduction": "sum", "channels": "sum"},
    "sum of tokens": {"reduction": "sum"},
    "sum of channels": {"channels": "sum"},
    "next token": {"target_shift": 1},
    "before the norm": {"hidden": "unnormed"},
    "free target": {"detach_target": False},
    "all turned": {"target_shift": 1, "detach_target": False, "hidden": "unnormed"},
    "1/L2": {"loss": "inverse_l2", "eps": 0.1},
    "1/L2 of sums": {"loss": "inverse_l2", "reduction": "sum", "channels": "sum"},
    "sigmoid(L2)": {"loss": "sigmoid_l2"},
    "sigmoid(L2) of the next": {"loss": "sigmoid_l2", "target_shift": 1, "hidden": "unnormed"},
    "a mark before": {"frame": Frame(before="picture:")},
}
# one view of 4 tokens, and two or more tiles with their thumbnail
SAMPLES = [tiny_sample(seed, size_hw=size) for seed, size in enumerate([(40, 40), (30, 90)])]


def double_vlm(kind="llama") -> VLM:
    tiles = Preprocess(mode="tiles", image_px=32)
    return tiny_vlm(kind, preprocess=tiles, unshuffle=2).double()


def views_of(vlm: VLM, sample) -> tuple[torch.Tensor, ...]:
    return tuple(
        view.to(vlm.language.input_embeddings.weight.dtype) for view in tiny_views(sample, vlm)
    )


def batch_of(vlm: VLM, turns, *, row_tokens: int = 4096) -> Batch:
    """(objective, sample) pairs as one batch, as reconstruction knows it: captions are not its."""
    encoded = []
    for objective, sample in turns:
        grid = vlm.token_grid(sample.size_hw)
        prepared = objective.prepare(sample, (grid,), vlm.language.tokenizer, torch.Generator())
        mine = not isinstance(objective, caption.CaptionObjective)
        encoded.append(
            encode_sample(
                sample.id,
                prepared.sequence,
                (grid,),
                views_of(vlm, sample),
                views_are="pixels",
                terms=("text", "image", "image_text"),
                targets=prepared.targets if mine else None,
                counts=dict(prepared.counts) if mine else {},
            )
        )
    return collate_batch(encoded, row_tokens=row_tokens)


def ours(vlm: VLM, objective, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """The mean loss, its gradient by the batch's visual tokens, and the logs."""
    out = vlm(batch, objective.reads)
    out.visual_ND.retain_grad()
    terms = objective.loss(out, batch)
    (terms.sums["image"] / max(batch.counts.get("image", 0), 1)).backward()
    return terms.sums["image"] / batch.counts.get("image", 1), out.visual_ND.grad, terms.logs


def naive(vlm: VLM, config: Config, samples) -> tuple[torch.Tensor, list[torch.Tensor], dict]:
    """The same by one forward per image; the gradient by each sample's visual tokens."""
    visual = [vlm.project(vlm.features(views_of(vlm, s))) for s in samples]
    for visual_PD in visual:
        visual_PD.retain_grad()
    options = {"shift": config.target_shift, "hidden": config.hidden}
    options |= {"detach": config.detach_target, "before": config.frame.before}
    images = [pairs(vlm, visual_PD, **options) for visual_PD in visual]
    loss = naive_image_loss(images, **dataclasses.asdict(config))
    loss.backward()
    every_pair = [pair for image in images for pair in image]
    logs = {
        "visual_norm": sum(x.norm().item() for x, _ in every_pair) / len(every_pair),
        "hidden_norm": sum(h.norm().item() for _, h in every_pair) / len(every_pair),
    }
    return loss, [visual_PD.grad for visual_PD in visual], logs


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_loss_and_gradient_are_the_equations(options, kind):
    vlm, config = double_vlm(kind), Config(**options)
    objective = reconstruction.build(config)
    batch = batch_of(vlm, [(objective, s) for s in SAMPLES])
    assert len(set(batch.visual_counts)) == 2
    loss, grad_ND, logs = ours(vlm, objective, batch)
    expected, grads, expected_logs = naive(vlm, config, SAMPLES)
    assert loss.dtype == torch.float64
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        grad_ND, torch.cat(grads), rtol=1e-6, atol=1e-6 * grad_ND.abs().max()
    )
    assert logs == pytest.approx(expected_logs, rel=1e-6)


@pytest.mark.parametrize("row_tokens", [1, 60, 4096])
@pytest.mark.parametrize("options", [{}, {"target_shift": 1, "loss": "sigmoid_l2"}])
def test_text_mode_in_the_same_batch_changes_nothing(options, row_tokens):
    vlm, config = double_vlm(), Config(**options)
    image, text = reconstruction.build(config), caption.build(caption.Config())
    first, second = SAMPLES
    turns = [(text, first), (image, first), (text, second), (image, second), (text, first)]
    batch = batch_of(vlm, turns, row_tokens=row_tokens)
    loss, grad_ND, _ = ours(vlm, image, batch)
    expected, grads, _ = naive(vlm, config, SAMPLES)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    by_document = grad_ND.split(batch.visual_counts)
    for index, grad_PD in ((1, grads[0]), (3, grads[1])):
        torch.testing.assert_close(by_document[index], grad_PD, rtol=1e-6, atol=1e-9)
    assert all(not by_document[index].any() for index in (0, 2, 4))


@pytest.mark.parametrize("options", [{}, {"loss": "inverse_l2"}, {"loss": "sigmoid_l2"}])
def test_a_batch_of_text_mode_alone_adds_nothing(options):
    vlm, image = tiny_vlm(), reconstruction.build(Config(**options))
    batch = batch_of(vlm, [(caption.build(caption.Config()), s) for s in SAMPLES])
    loss, grad_ND, logs = ours(vlm, image, batch)
    assert loss.item() == 0
    assert not grad_ND.any()
    assert logs == {}


def test_with_text_the_caption_is_learned_and_the_image_is_as_before():
    vlm, config = double_vlm(), Config(with_text=True)
    objective = reconstruction.build(config)
    batch = batch_of(vlm, [(objective, s) for s in SAMPLES], row_tokens=90)
    sums = objective.loss(vlm(batch, objective.reads), batch).sums
    assert tuple(sums) == objective.terms == ("image", "image_text")
    visual = [vlm.project(vlm.features(views_of(vlm, s))) for s in SAMPLES]
    text = sums["image_text"] / batch.counts["image_text"]
    torch.testing.assert_close(text, naive_text_loss(vlm, SAMPLES, visual), rtol=1e-6, atol=0)
    image = sums["image"] / batch.counts["image"]
    torch.testing.assert_close(image, naive(vlm, config, SAMPLES)[0], rtol=1e-6, atol=0)
    silent = dataclasses.replace(SAMPLES[0], caption="", regions=())
    with pytest.raises(DataError, match="the caption is empty"):
        batch_of(vlm, [(objective, silent)])
    batch_of(vlm, [(reconstruction.build(Config()), silent)])  # which reads no caption


@pytest.mark.parametrize("with_text", [False, True])
def test_only_what_is_learned_is_encoded(with_text):
    vlm = tiny_vlm()
    frame = Frame(before="see ", after=" so ", eos=with_text)
    objective = reconstruction.build(Config(frame=frame, with_text=with_text))
    batch = batch_of(vlm, [(objective, SAMPLES[0])])
    packed = batch.packed
    said = vlm.language.tokenizer.decode(packed.token_BT[packed.visual_BT < 0])
    rest = f" so {SAMPLES[0].caption}<|eos|>" if with_text else ""
    assert said == f"<|bos|>see {rest}"
    assert objective.reads >= {"visual", "last"}
    assert ("log_probs" in objective.reads) == with_text


def test_a_single_token_has_no_next_one():
    vlm = tiny_vlm(image_px=8)
    for loss in ("l2", "inverse_l2"):
        objective = reconstruction.build(Config(target_shift=1, loss=loss))
        batch = batch_of(vlm, [(objective, SAMPLES[0])])
        assert batch.counts == {"image": 0}
        assert ours(vlm, objective, batch)[1].any() == False  # noqa: E712
    assert batch_of(vlm, [(reconstruction.build(Config()), SAMPLES[0])]).counts == {"image": 1}


def made_up(visual_ND: torch.Tensor, batch: Batch) -> ForwardOutput:
    """Hidden states that are the visual tokens themselves."""
    embeds_BTD = visual_ND[batch.packed.visual_BT.clamp(min=0)]
    return ForwardOutput(visual_ND, last_BTD=embeds_BTD, unnormed_BTD=embeds_BTD)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_perfect_recovery_has_a_finite_loss_of_at_least_single_precision(dtype):
    vlm = tiny_vlm()
    for loss, value in (("l2", 0.0), ("inverse_l2", 50.0), ("sigmoid_l2", 0.5)):
        objective = reconstruction.build(Config(loss=loss, eps=0.02))
        batch = batch_of(vlm, [(objective, s) for s in SAMPLES])
        visual_ND = torch.randn(sum(batch.visual_counts), 8, dtype=dtype)
        terms = objective.loss(made_up(visual_ND, batch), batch)
        total = terms.sums["image"]
        assert total.dtype == torch.promote_types(dtype, torch.float32)
        assert total.item() / batch.counts["image"] == pytest.approx(value)
        assert terms.logs["visual_norm"] == terms.logs["hidden_norm"]


@pytest.mark.parametrize("learns", [Trainable(), Trainable(language=True), Trainable(encoder=True)])
def test_gradient_reaches_only_what_trains(learns):
    vlm = tiny_vlm()
    objective = reconstruction.build(Config())
    batch = batch_of(vlm, [(objective, s) for s in SAMPLES])
    set_trainable(vlm, learns)
    objective.loss(vlm(batch, objective.reads), batch).sums["image"].backward()
    for name, parameter in vlm.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    for part in ("projector", "language", "encoder"):
        grads = [p.grad for p in getattr(vlm, part).parameters() if p.requires_grad]
        assert bool(grads) == getattr(learns, part)
        assert all(grad.any() for grad in grads if part == "projector")


@pytest.mark.parametrize(("field", "value"), [("eps", 0.0), ("image_weight", -1.0)])
def test_settings_out_of_range(field, value):
    with pytest.raises(ConfigError, match=field):
        Config(**{field: value})


def test_terms_carry_their_weights():
    plain = reconstruction.build(Config())
    assert {t: plain.weights[t] for t in plain.terms} == {"image": 1.0}
    both = reconstruction.build(Config(with_text=True, image_weight=1e-3))
    assert {t: both.weights[t] for t in both.terms} == {"image": 1e-3, "image_text": 1.0}
