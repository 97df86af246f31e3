"""Log-probabilities at the supervised pairs against the full table."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diglot.models import logprobs
from diglot.models.logprobs import target_log_probs

N, D, V = 13, 6, 11


@st.composite
def pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries in any order, with several targets for one, and the same pair twice."""
    drawn = draw(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, V - 1)), max_size=30))
    query, target = torch.tensor(drawn, dtype=torch.int64).reshape(-1, 2).T
    return query, target


def gradients(log_prob_S: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.arange(1.0, len(log_prob_S) + 1)
    return list(torch.autograd.grad((log_prob_S * weights).sum(), leaves))


@pytest.mark.parametrize("block", [1, 3, 1024])
@settings(max_examples=40, derandomize=True, deadline=None)
@given(pair=pairs(), bias=st.booleans())
def test_equals_the_full_table(block: int, pair, bias: bool) -> None:
    query_S, target_S = pair
    torch.manual_seed(0)
    hidden, head = torch.randn(N, D, requires_grad=True), nn.Linear(D, V, bias=bias)
    full = head(hidden).log_softmax(dim=-1)[query_S, target_S]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logprobs, "BLOCK_QUERIES", block)
        got = target_log_probs(hidden, query_S, target_S, head)
        leaves = [hidden, *(head.parameters() if len(query_S) else ())]
        ours, theirs = gradients(got, leaves), gradients(full, leaves)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, full, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


class CountingHead(nn.Linear):
    """Remembers how many rows came at once."""

    def __init__(self) -> None:
        super().__init__(D, V)
        self.rows: list[int] = []

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(hidden))
        return super().forward(hidden)


def test_the_head_sees_each_query_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cost follows the supervised queries, not the positions, and the table stays a block."""
    hidden, head = torch.randn(1000, D), CountingHead()
    query = torch.tensor([7, 900, 7, 7, 33, 900])
    target_log_probs(hidden, query, torch.arange(6), head)
    assert head.rows == [3]
    head.rows.clear()
    monkeypatch.setattr(logprobs, "BLOCK_QUERIES", 4)
    target_log_probs(hidden, torch.arange(10), torch.zeros(10, dtype=torch.int64), head)
    assert head.rows == [4, 4, 2]


def test_blocks_are_recomputed_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head = torch.randn(10, D, requires_grad=True), CountingHead()
    monkeypatch.setattr(logprobs, "BLOCK_QUERIES", 4)
    table_px = []

    def kept(tensor: torch.Tensor) -> torch.Tensor:
        table_px.append(tensor.numel() if tensor.shape[-1:] == (V,) else 0)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(kept, lambda t: t):
        out = target_log_probs(hidden, torch.arange(10), torch.arange(10), head)
    assert sum(table_px) == 0
    out.sum().backward()
    assert head.rows == [4, 4, 2] * 2 or sorted(head.rows) == [2, 2, 4, 4, 4, 4]


def test_half_precision_hidden_gives_float32() -> None:
    hidden, head = torch.randn(N, D, dtype=torch.bfloat16), nn.Linear(D, V, dtype=torch.bfloat16)
    query = torch.arange(N)
    got = target_log_probs(hidden, query, query % V, head)
    assert got.dtype == torch.float32
    full = head(hidden).float().log_softmax(dim=-1)[query, query % V]
    torch.testing.assert_close(got, full)


def test_nothing_supervised_still_has_a_gradient_of_zero() -> None:
    hidden = torch.randn(N, D, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    got = target_log_probs(hidden, none, none, nn.Linear(D, V))
    assert got.shape == (0,)
    assert got.dtype == torch.float32
    got.sum().backward()
    assert not hidden.grad.any()


@pytest.mark.parametrize("block", [1, 4 * V * 3, 1 << 20])
@settings(max_examples=40, derandomize=True, deadline=None)
@given(pair=pairs())
def test_one_pass_through_a_frozen_head_equals_the_full_table(block: int, pair) -> None:
    query_S, target_S = pair
    torch.manual_seed(0)
    hidden = torch.randn(N, D, dtype=torch.float64, requires_grad=True)
    head = nn.Linear(D, V, bias=False, dtype=torch.float64).requires_grad_(False)
    full = head(hidden).log_softmax(dim=-1)[query_S, target_S]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logprobs, "BLOCK_BYTES", block)
        assert logprobs.is_frozen_matrix(head)
        got = target_log_probs(hidden, query_S, target_S, head)
        if len(query_S):
            torch.testing.assert_close(got, full, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradients(got, [hidden]), gradients(full, [hidden]))


def test_what_a_frozen_head_keeps_for_backward_has_no_vocabulary() -> None:
    hidden = torch.randn(10, D, requires_grad=True)
    head = nn.Linear(D, V, bias=False).requires_grad_(False)
    shapes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: shapes.append(tuple(t.shape)) or t, lambda t: t
    ):
        out = target_log_probs(hidden, torch.arange(10), torch.arange(10), head)
    assert (10, V) not in shapes
    assert (10, D) in shapes
    out.sum().backward()


@pytest.mark.parametrize("change", ["bias", "learns", "hook", "subclass"])
def test_any_other_head_takes_the_general_path(change: str) -> None:
    head = nn.Linear(D, V, bias=change == "bias").requires_grad_(change == "learns")
    if change == "hook":
        head.register_forward_hook(lambda module, args, out: out.tanh())
    if change == "subclass":
        head = CountingHead()
    assert not logprobs.is_frozen_matrix(head)
    hidden, query = torch.randn(N, D, requires_grad=True), torch.arange(N)
    full = head(hidden).log_softmax(dim=-1)[query, query % V]
    torch.testing.assert_close(target_log_probs(hidden, query, query % V, head), full)


def test_autocast_reaches_the_frozen_head() -> None:
    head = nn.Linear(D, V, bias=False).requires_grad_(False)
    hidden, query = torch.randn(N, D, requires_grad=True), torch.arange(N)
    with torch.autocast("cpu", torch.bfloat16):
        got = target_log_probs(hidden, query, query % V, head)
        full = head(hidden).float().log_softmax(dim=-1)[query, query % V]
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, full)
    ours, theirs = gradients(got, [hidden]), gradients(full, [hidden])
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)
