"""InfoNCE with the pairs of all processes as negatives, its gradient that of one large batch.

Every process computes the whole matrix, its own rows attached and the others' not, so that the
gradients of all processes add up to the whole one. The backward pass needs no communication, so it
cannot wait for a process that takes another way through the model; the price is a matrix of all
pairs on every process.
"""

import torch
from torch.nn.functional import cross_entropy, normalize

from diglot.core.distributed import gather_rows


def info_nce(x_ND: torch.Tensor, t_ND: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Each pair's symmetric InfoNCE among the N pairs (SEA Eq. 11), in nats (N,).

    Half of -log softmax over the t's at its own, half of the same over the x's. A single pair
    gives 0, no pair an empty tensor; both carry gradients (of 0) to all three arguments.
    """
    logits_NN = log_scale.exp() * (normalize(x_ND, dim=1) @ normalize(t_ND, dim=1).T)
    own_N = torch.arange(len(x_ND), device=x_ND.device)
    rows_N = cross_entropy(logits_NN, own_N, reduction="none")
    return (rows_N + cross_entropy(logits_NN.T, own_N, reduction="none")) / 2


def gathered_info_nce(
    x_ND: torch.Tensor, t_ND: torch.Tensor, log_scale: torch.Tensor
) -> torch.Tensor:
    """The sum of `info_nce` over this process's pairs, among the pairs of all processes (scalar).

    Its gradient is that of the sum over all processes' pairs, as far as it goes through what this
    process has: added up over processes, x, t and log_scale get the gradient of one large batch.
    Every process must call it at the same time; the numbers of pairs may differ, and be 0.
    """
    all_MKD, own = gather_rows(torch.stack([x_ND, t_ND], dim=1))
    # every process knows the scale's whole gradient and gives a share of it: that of its pairs, so
    # that none is lost where one without pairs takes part with weight 0
    share = len(x_ND) / max(1, len(all_MKD))
    shared = log_scale * share + log_scale.detach() * (1 - share)
    loss_M = info_nce(all_MKD[:, 0], all_MKD[:, 1], shared)
    whole = loss_M.sum()
    return loss_M[own].sum().detach() + (whole - whole.detach())
