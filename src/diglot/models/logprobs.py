"""Log-probabilities of the supervised pairs alone: memory and time follow S, not T × V.

With a frozen head W (V, D) one pass over its logits is enough for loss and gradient:

    d log p(t | h) / d h = W[t] - sum_v p(v | h) W[v]

so each block of queries keeps only the softmax's mean row of W, (Q, D), and backward has no product
with the vocabulary. Any other head (biased, learning, wrapped, hooked) takes the general path,
whose blocks are computed again in backward.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

# Logits of this many queries are alive at once on the general path; with more, each block is
# recomputed in backward.
BLOCK_QUERIES = 1024
# Logits alive at once in one pass. A block reads the whole matrix: smaller ones are slower (24 MiB
# loses all of the gain at a vocabulary of 152k), larger ones no faster.
BLOCK_BYTES = 128 << 20


def target_log_probs(
    hidden_ND: torch.Tensor, query_S: torch.Tensor, target_S: torch.Tensor, head: nn.Module
) -> torch.Tensor:
    """log p(target | query), (S,), at least float32: rows of `hidden_ND` through the head.

    A query with several targets goes through the head once.
    """
    if not len(query_S):
        return hidden_ND[query_S, 0].float()  # still part of the graph: its gradient is zero
    queries_Q, which_S = torch.unique(query_S, return_inverse=True)
    hidden_QD = hidden_ND[queries_Q]
    if is_frozen_matrix(head):
        return _OnePass.apply(hidden_QD, head.weight, which_S, target_S)
    if len(queries_Q) <= BLOCK_QUERIES:
        return _block_logprobs(hidden_QD, which_S, target_S, head)
    return _in_blocks(hidden_QD, which_S, target_S, head)


def is_frozen_matrix(head: nn.Module) -> bool:
    """Whether the head is nothing but a product with a matrix that does not learn."""
    plain = type(head) is nn.Linear and head.bias is None and not head.weight.requires_grad
    return plain and not (head._forward_hooks or head._forward_pre_hooks or head._backward_hooks)


class _OnePass(torch.autograd.Function):
    """The formula of the module's docstring, block by block of queries."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_QD: torch.Tensor,
        weight_VD: torch.Tensor,
        which_S: torch.Tensor,
        target_S: torch.Tensor,
    ) -> torch.Tensor:
        """log p (S,); keeps the mean rows (Q, D) where a gradient is wanted."""
        learns = ctx.needs_input_grad[0]
        rows = max(1, BLOCK_BYTES // (4 * len(weight_VD)))
        log_prob_S = _as_single(hidden_QD.new_zeros(len(which_S)))
        means = []
        for start in range(0, len(hidden_QD), rows):
            made = linear(hidden_QD[start : start + rows], weight_VD)  # autocast holds in here
            logits_QV = _as_single(made)
            norm_Q = logits_QV.logsumexp(dim=-1)
            inside = (which_S >= start) & (which_S < start + rows)
            which, target = which_S[inside] - start, target_S[inside]
            log_prob_S[inside] = logits_QV[which, target] - norm_Q[which]
            if learns:
                # the logits are read no more: their storage takes the softmax
                softmax_QV = logits_QV.sub_(norm_Q[:, None]).exp_().to(made.dtype)
                means.append(softmax_QV @ weight_VD)
        if learns:
            ctx.save_for_backward(torch.cat(means), weight_VD, which_S, target_S)
        ctx.dtype = hidden_QD.dtype
        return log_prob_S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_S: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:  # type: ignore[override]
        """The gradient of the hidden states (Q, D): sum over their pairs of g (W[t] - mean)."""
        mean_QD, weight_VD, which_S, target_S = ctx.saved_tensors
        of_query_Q = grad_S.new_zeros(len(mean_QD)).index_add(0, which_S, grad_S)
        grad_QD = -of_query_Q[:, None] * _as_single(mean_QD)
        grad_QD.index_add_(0, which_S, grad_S[:, None] * _as_single(weight_VD[target_S]))
        return grad_QD.to(ctx.dtype), None, None, None


def _block_logprobs(
    hidden_QD: torch.Tensor, which_S: torch.Tensor, target_S: torch.Tensor, head: nn.Module
) -> torch.Tensor:
    logits_QV = _as_single(head(hidden_QD))
    return logits_QV[which_S, target_S] - logits_QV.logsumexp(dim=-1)[which_S]


def _as_single(values: torch.Tensor) -> torch.Tensor:
    """In float32, or float64 where that is what came: half precision is too coarse for a loss."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _in_blocks(
    hidden_QD: torch.Tensor, which_S: torch.Tensor, target_S: torch.Tensor, head: nn.Module
) -> torch.Tensor:
    log_probs = _as_single(hidden_QD.new_zeros(len(which_S)))
    for start in range(0, len(hidden_QD), BLOCK_QUERIES):
        inside = (which_S >= start) & (which_S < start + BLOCK_QUERIES)
        block = checkpoint(
            _block_logprobs,
            hidden_QD[start : start + BLOCK_QUERIES],
            which_S[inside] - start,
            target_S[inside],
            head,
            use_reentrant=False,
        )
        log_probs = log_probs.masked_scatter(inside, block)
    return log_probs
