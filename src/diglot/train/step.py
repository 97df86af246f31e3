"""One optimizer step: exact means over all micro-batches and processes, then clip and update."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from diglot.core.batch import Batch
from diglot.core.errors import DiglotError
from diglot.objectives._objective import Objective


class NonFiniteLossError(DiglotError):
    """The loss or its gradient is not a number; the message names the samples of the step."""


@dataclass(frozen=True)
class StepResult:
    """What one step reports: weighted loss, mean of each term, items, gradient norm."""

    loss: float
    terms: Mapping[str, float]
    counts: Mapping[str, float]
    grad_norm: float


def train_step(
    model: nn.Module,
    batches: Sequence[Batch | None],
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    *,
    clip: float,
) -> StepResult:
    """Forward and backward over the micro-batches, one update.

    Each term is a mean over the supervised items of the whole step, as one large batch would give.
    A None is a micro-batch whose samples were all set aside. Raises NonFiniteLossError.
    """
    counts = _global_counts(batches, objective, accelerator)
    sums = torch.zeros(len(objective.terms), dtype=torch.float64)
    optimizer.zero_grad(set_to_none=True)
    last = len(batches) - 1
    for index, batch in enumerate(batches):
        sync = contextlib.nullcontext() if index == last else accelerator.no_sync(model)
        with sync:
            sums += _backward(model, batch, objective, accelerator, counts)
    means = _means(accelerator.reduce(sums.to(accelerator.device)).cpu(), objective, counts)
    loss = sum(objective.weights[term] * value for term, value in means.items())
    norm = _grad_norm(model, accelerator, clip)
    if not (torch.isfinite(torch.tensor(loss)) and torch.isfinite(torch.tensor(norm))):
        raise NonFiniteLossError(
            f"the loss is not finite (loss {loss}, gradient norm {norm})",
            where="samples " + ", ".join(i for b in batches if b for i in b.ids),
            fix="Look at these records, or lower optim.lr; the last checkpoint is from before.",
        )
    if any(counts.values()):
        optimizer.step()
    return StepResult(loss, means, counts, norm)


def _global_counts(
    batches: Sequence[Batch | None], objective: Objective, accelerator: Accelerator
) -> dict[str, float]:
    """Items of each term over the micro-batches of all processes."""
    local: Counter[str] = Counter()
    for batch in batches:
        local.update(batch.counts if batch else {})
    told = torch.tensor([local[t] for t in objective.terms], dtype=torch.float64)
    total = accelerator.reduce(told.to(accelerator.device)).tolist()
    return dict(zip(objective.terms, total, strict=True))


def _backward(
    model: nn.Module,
    batch: Batch | None,
    objective: Objective,
    accelerator: Accelerator,
    counts: Mapping[str, float],
) -> torch.Tensor:
    """Add one micro-batch's gradient; returns its summed loss per term, float64 on the CPU."""
    sums = torch.zeros(len(objective.terms), dtype=torch.float64)
    if batch is None:
        return sums
    batch = batch.to(accelerator.device)
    terms = objective.loss(model(batch, objective.reads), batch)
    loss = torch.zeros((), device=accelerator.device)
    for index, term in enumerate(objective.terms):
        value = terms.sums.get(term)
        if value is not None and counts[term]:
            sums[index] = value.item()
            loss = loss + objective.weights[term] * value / _divisor(objective, counts[term])
    if loss.requires_grad:
        # data parallelism averages gradients over processes; the mean is already over all of them
        accelerator.backward(loss * accelerator.num_processes)
    return sums


def _divisor(objective: Objective, count: float) -> float:
    return count if objective.reduction == "mean" else 1.0


def _means(
    sums: torch.Tensor, objective: Objective, counts: Mapping[str, float]
) -> dict[str, float]:
    """Each term's loss over the step; a term that nothing supervised is left out."""
    return {
        term: sums[i].item() / _divisor(objective, counts[term])
        for i, term in enumerate(objective.terms)
        if counts[term]
    }


def _grad_norm(model: nn.Module, accelerator: Accelerator, clip: float) -> float:
    learn = [p for p in model.parameters() if p.requires_grad]
    norm = accelerator.clip_grad_norm_(learn, clip if clip > 0 else float("inf"))
    return float(norm) if norm is not None else 0.0
