"""Negatives of all processes: value and gradients of two processes are those of one large batch."""

import multiprocessing
import socket
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from diglot.core.contrastive import gathered_info_nce
from diglot.models.words import label_means
from diglot.objectives.token_contrastive import Config, LabelledToken, build
from tests.objectives.sea_batches import batch_of, pair
from tests.objectives.sea_naive import naive_losses

TIMEOUT_S = 60
# How many pairs each of the processes has.
SHARES = [(3, 4), (5, 1), (0, 4), (2, 0), (1, 0), (1, 1), (0, 0)]
Answer = tuple[float, list[np.ndarray]]  # arrays, as tensors cannot leave a process that ends


def features(pairs: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(pairs, 3, generator=random, dtype=torch.float64)


def parameters() -> list[torch.Tensor]:
    """A projector (3, 4), a table of 9 words (9, 4), and the logarithm of the scale (1,)."""
    random = torch.Generator().manual_seed(0)
    shapes = ((3, 4), (9, 4), (1,))
    return [
        torch.randn(*shape, generator=random, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


def labels(pairs: int) -> list[tuple[int, ...]]:
    """Every label has a word of its own, and they share one: words get gradients from several."""
    return [(i, 8) for i in range(pairs)]


def of_process(rank: int, shares: tuple[int, int]) -> Answer:
    """This process's share of the value, and its gradients."""
    projector, words, log_scale = parameters()
    mine = slice(sum(shares[:rank]), sum(shares[: rank + 1]))
    x_ND = features(sum(shares))[mine] @ projector
    t_ND = label_means(words, labels(sum(shares))[mine])
    total = gathered_info_nce(x_ND, t_ND, log_scale)
    grads = torch.autograd.grad(total, [projector, words, log_scale])
    return total.item(), [grad.numpy() for grad in grads]


def of_one(pairs: int) -> Answer:
    """The same by the slow loop, all pairs in one batch."""
    projector, words, log_scale = parameters()
    numbered = [(0, LabelledToken(i, str(i), ids, i)) for i, ids in enumerate(labels(pairs))]
    losses = naive_losses(numbered, features(pairs) @ projector, words, log_scale)
    total = sum(losses, 0.0 * (projector.sum() + words.sum() + log_scale.sum()))
    grads = torch.autograd.grad(total, [projector, words, log_scale])
    return total.item(), [grad.numpy() for grad in grads]


def select_from(rank: int) -> tuple[int, ...]:
    """Which labels a process keeps: both have the same ones, their keys lower by turns."""
    words = ("dog", "cat", "frog", "guitar")
    own_pairs = [pair(i, word, 2 * i + (rank + i) % 2) for i, word in enumerate(words)]
    own_pairs.append(pair(9, "left", 99))  # one sample that both have: the first process's stays

    def gather(own: Any) -> list[Any]:
        everyone: list[Any] = [None, None]
        torch.distributed.all_gather_object(everyone, own)
        return everyone

    objective = build(Config(negatives="gathered"))
    batch = objective.select(batch_of([tuple(own_pairs)]), gather)
    assert batch.counts == {"contrast": len(batch.targets[0])}
    return tuple(kept.visual for kept in batch.targets[0])


def all_cases(rank: int) -> Any:
    return [of_process(rank, shares) for shares in SHARES], select_from(rank)


def one_process(rank: int, port: int, work: Callable[[int], Any], answers: Any) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    try:
        answers.put((rank, work(rank), ""))
    except Exception:
        answers.put((rank, None, traceback.format_exc()))
    finally:
        torch.distributed.destroy_process_group()


def by_two(work: Callable[[int], Any], *, timeout_s: float = TIMEOUT_S) -> list[Any]:
    """What each of two processes answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [
        context.Process(target=one_process, args=(rank, port, work, answers)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    answer_of = {}
    try:
        for _ in processes:
            rank, answer_of[rank], error = answers.get(timeout=timeout_s)
            assert not error, error
        for process in processes:
            process.join(timeout_s)
    finally:
        for process in processes:
            process.kill()
    return [answer_of[0], answer_of[1]]


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    return by_two(all_cases)


def assert_same(value: float, grads: list[np.ndarray], pairs: int) -> None:
    expected, naive = of_one(pairs)
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    for mine, theirs in zip(grads, naive, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", range(len(SHARES)), ids=map(str, SHARES))
def test_two_processes_give_the_gradients_of_one_batch(answers, case):
    (value_0, grads_0), (value_1, grads_1) = (answer[0][case] for answer in answers)
    summed = [a + b for a, b in zip(grads_0, grads_1, strict=True)]
    assert_same(value_0 + value_1, summed, sum(SHARES[case]))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_without_pairs_could_be_left_out(answers, rank):
    """The loop gives a pass with nothing to learn the weight 0: no gradient may come from it."""
    for shares, (value, grads) in zip(SHARES, answers[rank][0], strict=True):
        if shares[rank] == 0:
            assert value == 0
            assert all(not grad.any() for grad in grads)


def test_a_label_stays_in_one_of_the_processes(answers):
    assert [answer[1] for answer in answers] == [(0, 2, 9), (1, 3)]


def test_alone_nothing_is_gathered():
    value, grads = of_process(0, (5, 0))
    assert_same(value, grads, 5)
