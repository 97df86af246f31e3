"""What processes know of one another: rank, world size, and the rows of all of them."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import distributed

log = logging.getLogger(__name__)

B = TypeVar("B")
R = TypeVar("R")
# How many processes a launcher started: torchrun, or one of MPI.
WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def rank_and_world_size() -> tuple[int, int]:
    """The rank of this process and the number of processes; (0, 1) outside torch.distributed."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def warn_of_single_process(environment: Mapping[str, str] = os.environ) -> bool:
    """Warn where `accelerate launch` was asked for several processes and started this one alone.

    On a CPU it starts one, whatever --num_processes says, and says nothing; an address for the
    others is all that is left of the request. Returns whether it was so.
    """
    launched = {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= environment.keys()
    if not launched or any(name in environment for name in WORLD_SIZES):
        return False
    log.warning(
        "accelerate launch started one process, though several were asked for: without several "
        "GPUs it starts no more. For several processes on a CPU: "
        "torchrun --nproc_per_node 2 -m diglot train ..."
    )
    return True


def launched_processes() -> int:
    """How many processes a launcher such as torchrun says that it started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def joins_on_cpu() -> bool:
    """Whether processes that a launcher started must be joined as processes of a CPU.

    Accelerate does not see it: without this each would be alone and believe it is first.
    """
    return launched_processes() > 1 and not torch.accelerator.is_available()


def gather_rows(own_NKD: torch.Tensor) -> tuple[torch.Tensor, slice]:
    """The rows of all processes in their order, the others' detached; and which are our own."""
    rank, world_size = rank_and_world_size()
    if world_size == 1:
        return own_NKD, slice(None)
    count = torch.tensor([len(own_NKD)], device=own_NKD.device)
    counts = [torch.empty_like(count) for _ in range(world_size)]
    distributed.all_gather(counts, count)
    sizes = [int(n) for n in counts]
    if not max(sizes):
        return own_NKD, slice(None)
    padded = own_NKD.new_zeros(max(sizes), *own_NKD.shape[1:])  # all must send as much
    padded[: len(own_NKD)] = own_NKD.detach()
    sent = [torch.empty_like(padded) for _ in range(world_size)]
    distributed.all_gather(sent, padded)
    rows = [part[:size] for part, size in zip(sent, sizes, strict=True)]
    rows[rank] = own_NKD
    start = sum(sizes[:rank])
    return torch.cat(rows), slice(start, start + len(own_NKD))


def map_over_processes(
    batches: Sequence[B], work: Callable[[B], R], *, done: Callable[[B], None] = lambda batch: None
) -> list[R]:
    """work(batch) of every batch in order, each done by one process and known to all of them.

    The batches are what one process alone would work on, so the results are the same to the last
    digit. Results hold CPU tensors and plain data. `done` is called after every own batch, and for
    those of the others once they are here.
    """
    rank, world_size = rank_and_world_size()
    own: dict[int, R] = {}
    for number in range(rank, len(batches), world_size):
        own[number] = work(batches[number])
        done(batches[number])
    if world_size == 1:
        return list(own.values())
    gathered: list[Any] = [None] * world_size
    distributed.all_gather_object(gathered, own)
    for number in (n for n in range(len(batches)) if n % world_size != rank):
        done(batches[number])
    results: dict[int, R] = {n: result for part in gathered for n, result in part.items()}
    return [results[number] for number in range(len(batches))]


def iterate_over_processes(
    batches: Sequence[B], work: Callable[[B], R], *, done: Callable[[B], None] = lambda batch: None
) -> Iterator[R]:
    """As `map_over_processes`, in rounds of a batch a process: no more results are in memory."""
    world_size = rank_and_world_size()[1]
    for start in range(0, len(batches), world_size):
        yield from map_over_processes(batches[start : start + world_size], work, done=done)
