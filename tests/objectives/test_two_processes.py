"""Two processes give one process's loss and gradient: every objective, number by number."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from diglot.core.batch import Batch
from diglot.core.errors import DataError
from diglot.core.preprocess import Preprocess
from diglot.data.collate import EncodedSample, collate_batch, encode_sample
from diglot.models.trainable import Trainable, set_trainable
from diglot.models.vlm import VLM
from diglot.train.mixture import Mixture, build_mixture
from diglot.train.order import shard_for_rank
from diglot.train.step import StepResult, train_step
from diglot.train.updates import Updates
from tests.objectives.sea_batches import labelled
from tests.objectives.test_gathered_negatives import by_two
from tests.tiny import tiny_sample, tiny_views, tiny_vlm

TIMEOUT_S = 300
# negatives of both processes' passes, which are as many as one process has in a pass twice as large
GATHERED = {"name": "token_contrastive", "negatives": "gathered", "logit_scale_init": 1.0}
# negatives of a pass: the same for any number of processes where a pass is one image
ALONE = {"name": "token_contrastive", "window": 1, "weight": 0.7}
IMAGE = {"name": "reconstruction", "weight": 0.1}
# objective, plus, mix; documents of a pass in one process
STAGES: dict[str, tuple[Any, dict[str, Any], dict[str, Any], int]] = {
    "caption": ("caption", {}, {}, 2),
    "code_switch, one mean": ({"name": "code_switch", "reduction": "joint"}, {}, {}, 2),
    "caption, summed": ({"name": "caption", "reduction": "sum"}, {}, {}, 2),
    "code_switch": ("code_switch", {}, {}, 2),
    "patch_aligned": ("patch_aligned", {}, {}, 2),
    "token_contrastive": (ALONE, {}, {}, 1),
    "token_contrastive, gathered": (GATHERED, {}, {}, 4),
    "reconstruction": (IMAGE, {}, {}, 2),
    "caption + patch_aligned": ("caption", {"patch_aligned": {"weight": 5.0}}, {}, 2),
    "caption + token_contrastive": ("caption", {"token_contrastive": ALONE}, {}, 1),
    "caption + token_contrastive, gathered": ("caption", {"token_contrastive": GATHERED}, {}, 4),
    "caption, reconstruction": ("caption", {}, {"reconstruction": IMAGE}, 2),
    "caption, 1/L2 with text": (
        "caption",
        {},
        {"reconstruction": {**IMAGE, "loss": "inverse_l2", "eps": 0.1, "with_text": True}},
        2,
    ),
    "all": (
        "code_switch",
        {"patch_aligned": {"weight": 0.5}, "token_contrastive": GATHERED},
        {"reconstruction": {**IMAGE, "loss": "sigmoid_l2", "hidden": "unnormed"}},
        4,
    ),
}
# Objects of each sample: the processes' shares differ, and a pass may have nothing to learn.
OBJECTS = (3, 1, 0, 5, 2, 0, 4)
Answer = tuple[dict[str, float], dict[str, np.ndarray]]  # arrays: tensors cannot leave a process


def documents(vlm: VLM, mixture: Mixture) -> list[EncodedSample | None]:
    """Every sample once in every turn; None where it has nothing to learn."""
    encoded: list[EncodedSample | None] = []
    for number, objects in enumerate(OBJECTS):
        sample = labelled(tiny_sample(number, objects=objects), seed=number)
        grid = vlm.token_grid(sample.size_hw)
        for turn in range(1 + len(mixture.shares)):
            rng = torch.Generator().manual_seed(number)
            try:
                made = mixture.prepare(sample, (grid,), vlm.language.tokenizer, rng, stream=turn)
            except DataError:
                encoded.append(None)
                continue
            views = [view.double() for view in tiny_views(sample, vlm)]
            settings = {"views_are": "pixels", "terms": mixture.terms, "targets": made.targets}
            encoded.append(
                encode_sample(
                    sample.id, made.sequence, (grid,), views, counts=dict(made.counts), **settings
                )
            )
    return encoded


def passes(
    encoded: Sequence[EncodedSample | None], rank: int, processes: int, size: int
) -> list[Batch | None]:
    """A process's forward passes of one step, as the loop deals them out."""
    sharded = shard_for_rank(list(encoded), max(1, size // processes), rank, processes)
    cut = [[one for one in part if one] for part in sharded]
    return [collate_batch(part, row_tokens=96) if part else None for part in cut]


def step(rank: int, processes: int, name: str) -> Answer:
    """One optimizer step that moves nothing: what it reports, and the gradients it leaves."""
    objective, plus, mix, size = STAGES[name]
    mixture = build_mixture(objective, plus, mix)
    vlm = tiny_vlm(preprocess=Preprocess(image_px=32))
    vlm.heads = mixture.heads
    vlm.double()
    # with parts that the loss does not reach: the encoder's last layer, the LLM of some objectives
    set_trainable(vlm, Trainable(encoder=True, language=True))
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == processes
    encoded = documents(vlm, mixture)
    first = next(one for one in encoded if one)
    optimizer = torch.optim.SGD([p for p in vlm.parameters() if p.requires_grad], lr=0.0)
    model, optimizer = accelerator.prepare(vlm, optimizer)
    result: StepResult = train_step(
        Updates(model, optimizer, accelerator),
        passes(encoded, rank, processes, size),
        mixture,
        weights=mixture.weights_at(0.5),
        clip=0.0,
        dummy=collate_batch([first], row_tokens=96),
    )
    logged = {"loss": result.loss, "norm": result.grad_norm, **result.terms}
    logged |= {f"items/{term}": count for term, count in result.counts.items()}
    grads = {n: p.grad for n, p in vlm.named_parameters() if p.grad is not None}
    return logged, {n: grad.numpy() for n, grad in grads.items()}


def steps_of_two(rank: int) -> dict[str, Answer]:
    variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    # accelerate asks where the processes meet, though they have met
    os.environ |= {**variables, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
    return {name: step(rank, 2, name) for name in STAGES}


@pytest.fixture(scope="module")
def by_both() -> list[dict[str, Answer]]:
    return by_two(steps_of_two, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("name", STAGES)
def test_every_objective(by_both, name):
    alone, grads = step(0, 1, name)
    assert alone["norm"] > 0
    for two, theirs in (process[name] for process in by_both):
        assert two == pytest.approx(alone, rel=1e-6)
        assert grads.keys() <= theirs.keys()
        assert not any(theirs[name].any() for name in theirs.keys() - grads.keys())
        for parameter, grad in grads.items():
            scale = np.abs(grad).max()
            np.testing.assert_allclose(theirs[parameter], grad, rtol=1e-6, atol=1e-6 * scale)
