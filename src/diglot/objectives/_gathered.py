"""InfoNCE with the pairs of all processes as negatives, its gradient that of one large batch.

Every process computes the whole matrix, its own rows attached and the others' not, so that the
gradients of all processes add up to the whole one. The backward pass needs no communication, so it
cannot wait for a process that takes another way through the model; the price is a matrix of all
pairs on every process.
"""

import torch
from torch import distributed
from torch.nn.functional import cross_entropy, normalize


def place() -> tuple[int, int]:
    """The number of this process, and how many there are."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


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
    all_MKD, own = _join(torch.stack([x_ND, t_ND], dim=1))
    # every process knows the scale's whole gradient and gives a share of it: that of its pairs, so
    # that none is lost where one without pairs takes part with weight 0
    share = len(x_ND) / max(1, len(all_MKD))
    shared = log_scale * share + log_scale.detach() * (1 - share)
    loss_M = info_nce(all_MKD[:, 0], all_MKD[:, 1], shared)
    whole = loss_M.sum()
    return loss_M[own].sum().detach() + (whole - whole.detach())


def _join(own_NKD: torch.Tensor) -> tuple[torch.Tensor, slice]:
    """The rows of all processes in their order, the others' detached; and which are our own."""
    process, processes = place()
    if processes == 1:
        return own_NKD, slice(None)
    count = torch.tensor([len(own_NKD)], device=own_NKD.device)
    counts = [torch.empty_like(count) for _ in range(processes)]
    distributed.all_gather(counts, count)
    sizes = [int(n) for n in counts]
    if not max(sizes):
        return own_NKD, slice(None)
    padded = own_NKD.new_zeros(max(sizes), *own_NKD.shape[1:])  # all must send as much
    padded[: len(own_NKD)] = own_NKD.detach()
    sent = [torch.empty_like(padded) for _ in range(processes)]
    distributed.all_gather(sent, padded)
    rows = [part[:size] for part, size in zip(sent, sizes, strict=True)]
    rows[process] = own_NKD
    start = sum(sizes[:process])
    return torch.cat(rows), slice(start, start + len(own_NKD))
