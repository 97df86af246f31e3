"""Log-probabilities of the supervised pairs alone: memory and time follow S, not T × V."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

# Logits of this many queries are alive at once; with more, each block is recomputed in backward.
BLOCK_QUERIES = 1024


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
    if len(queries_Q) <= BLOCK_QUERIES:
        return _block(hidden_QD, which_S, target_S, head)
    return _in_blocks(hidden_QD, which_S, target_S, head)


def _block(
    hidden_QD: torch.Tensor, which_S: torch.Tensor, target_S: torch.Tensor, head: nn.Module
) -> torch.Tensor:
    logits_QV = _single(head(hidden_QD))
    return logits_QV[which_S, target_S] - logits_QV.logsumexp(dim=-1)[which_S]


def _single(values: torch.Tensor) -> torch.Tensor:
    """In float32, or float64 where that is what came: half precision is too coarse for a loss."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _in_blocks(
    hidden_QD: torch.Tensor, which_S: torch.Tensor, target_S: torch.Tensor, head: nn.Module
) -> torch.Tensor:
    log_probs = _single(hidden_QD.new_zeros(len(which_S)))
    for start in range(0, len(hidden_QD), BLOCK_QUERIES):
        inside = (which_S >= start) & (which_S < start + BLOCK_QUERIES)
        block = checkpoint(
            _block,
            hidden_QD[start : start + BLOCK_QUERIES],
            which_S[inside] - start,
            target_S[inside],
            head,
            use_reentrant=False,
        )
        log_probs = log_probs.masked_scatter(inside, block)
    return log_probs
