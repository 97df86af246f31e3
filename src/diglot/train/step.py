"""One optimizer step: exact means over all micro-batches and processes, then clip and update."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from diglot.core.batch import Batch
from diglot.core.errors import DiglotError
from diglot.core.objective import Gather
from diglot.train.mixture import Mixture
from diglot.train.sharding import touch_everything
from diglot.train.updates import Autocast, Updates


class NonFiniteLossError(DiglotError):
    """The loss or its gradient is not a number; the message names the samples of the step."""


@dataclass(frozen=True)
class StepResult:
    """What one step reports: weighted loss, mean of each term, items, gradient norm."""

    loss: float
    terms: Mapping[str, float]
    counts: Mapping[str, float]
    grad_norm: float
    logs: Mapping[str, float] = field(default_factory=dict)  # mean over micro-batches


def train_step(
    updates: Updates,
    batches: Sequence[Batch | None],
    objective: Mixture,
    *,
    weights: Mapping[str, float],
    clip: float,
    dummy: Batch | None = None,
    blank: tuple[torch.Tensor, ...] = (),
) -> StepResult:
    """Forward and backward over the micro-batches, one update.

    Each term is a mean over the supervised items of the whole step, as one large batch would give.
    A None is a micro-batch whose samples were all rejected; of several processes every one must
    make as many passes, so `dummy` is passed in its place with weight 0; a pass of text alone gets
    the views `blank`, which no document reads. Raises NonFiniteLossError.
    """
    accelerator = updates.accelerator
    passes = _complete_passes(batches, objective, updates, dummy, blank)
    counts = _global_counts(passes, objective, accelerator)
    updates.begin()
    if not any(counts.values()):  # in no process: nothing to learn from
        return StepResult(0.0, {}, counts, 0.0)
    sums = torch.zeros(len(batches), len(objective.terms), dtype=torch.float64)
    logs: list[Mapping[str, float]] = []
    last = len(batches) - 1
    for index, batch in enumerate(passes):
        with updates.in_pass(is_last=index == last):
            if batch is None:
                continue
            known = counts if batches[index] is not None else {}
            loss, term_sums, term_logs = updates.compute(
                partial(_sum_losses, batch, objective, updates, known, weights)
            )
            # data parallelism averages gradients over processes; the mean is already over all
            updates.backward(loss * accelerator.num_processes, is_last=index == last)
            if known:
                sums[index] = term_sums
                logs.append(term_logs)
    total = _over_processes(sums.sum(0), accelerator)
    means = _mean_losses(total, objective, counts)
    loss = sum(weights[term] * value for term, value in means.items())

    def check(norm: float) -> None:
        # a loss scaler (fp16) gives infinite gradients now and then: it skips the update
        if not math.isfinite(loss) or not (math.isfinite(norm) or accelerator.scaler):
            raise _not_finite(loss, norm, batches, sums)

    norm = updates.finish(clip, check)
    all_logs = [one for part in _make_gather(accelerator)(logs) for one in part]
    return StepResult(loss, means, counts, norm, _mean_logs(all_logs))


def _complete_passes(
    batches: Sequence[Batch | None],
    objective: Mixture,
    updates: Updates,
    dummy: Batch | None,
    blank: tuple[torch.Tensor, ...],
) -> list[Batch | None]:
    """The micro-batches as they are passed, with what the objective takes from other processes."""
    blank_batch = _without_targets(dummy) if updates.needs_all else None
    passes = [blank_batch if batch is None else batch for batch in batches]
    gather = _make_gather(updates.accelerator)
    passes = [batch and objective.select(batch, gather) for batch in passes]
    return [replace(b, views=blank) if b and not b.views else b for b in passes]


def _without_targets(batch: Batch | None) -> Batch | None:
    """A batch that takes part in a pass with nothing to learn."""
    return batch and replace(batch, targets=(None,) * len(batch.targets), counts={})


def _make_gather(accelerator: Accelerator) -> Gather:
    return (
        (lambda value: gather_object([value])) if accelerator.num_processes > 1 else _gather_alone
    )


def _gather_alone(value: Any) -> list[Any]:
    return [value]


def _mean_logs(logs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each figure's mean over the micro-batches that have it."""
    values: dict[str, list[float]] = {}
    for figures in logs:
        for name, value in figures.items():
            values.setdefault(name, []).append(value)
    return {name: sum(v) / len(v) for name, v in values.items()}


def _not_finite(
    loss: float, norm: float, batches: Sequence[Batch | None], sums: torch.Tensor
) -> NonFiniteLossError:
    """It names the samples of the micro-batches at fault, or of all where none stands out."""
    bad = [not torch.isfinite(row).all() for row in sums]
    at_fault_ids = [b.ids for b, at_fault in zip(batches, bad, strict=True) if b and at_fault]
    here = [i for ids in at_fault_ids or [b.ids for b in batches if b] for i in ids]
    ids = list(dict.fromkeys(gather_object([(bool(at_fault_ids), i) for i in here])))
    worst = [i for at_fault, i in ids if at_fault] or [i for _, i in ids]
    return NonFiniteLossError(
        f"the loss is not finite (loss {loss}, gradient norm {norm})",
        where="one of the samples " + ", ".join(worst),
        fix="Check these records, or lower optim.lr; the last checkpoint is from before.",
    )


def _global_counts(
    batches: Sequence[Batch | None], objective: Mixture, accelerator: Accelerator
) -> dict[str, float]:
    """Items of each term over the micro-batches of all processes."""
    local: Counter[str] = Counter()
    for batch in batches:
        local.update(batch.counts if batch else {})
    local_T = torch.tensor([local[t] for t in objective.terms], dtype=torch.float64)
    total = _over_processes(local_T, accelerator).tolist()
    return dict(zip(objective.terms, total, strict=True))


def _over_processes(value: torch.Tensor, accelerator: Accelerator) -> torch.Tensor:
    """The sum over all processes, on the CPU."""
    if accelerator.num_processes == 1:  # and not every device has float64
        return value
    reduced: Any = accelerator.reduce(value.to(accelerator.device))
    return reduced.cpu()


def _sum_losses(
    batch: Batch,
    objective: Mixture,
    updates: Updates,
    counts: Mapping[str, float],
    weights: Mapping[str, float],
    model: nn.Module,
    autocast: Autocast,
) -> tuple[torch.Tensor, torch.Tensor, Mapping[str, float]]:
    """A micro-batch's part of the step's loss, its summed loss per term (float64, CPU), its logs.

    A term that `counts` does not know takes part with weight 0.
    """
    sums = torch.zeros(len(objective.terms), dtype=torch.float64)
    device = updates.accelerator.device
    batch = batch.to(device)
    with autocast():
        out = model(batch, objective.reads)
    terms, divisors = objective.loss(out, batch), objective.divisors(counts)
    loss = torch.zeros((), device=device)
    for index, term in enumerate(objective.terms):
        value = terms.sums.get(term)
        if value is not None:
            weight = weights[term] / divisors[term] if counts.get(term) else 0.0
            sums[index] = value.item()
            loss = loss + weight * value
    if updates.needs_all:
        loss = loss + touch_everything(model, out).to(loss.device)
    return loss, sums, terms.logs


def _mean_losses(
    sums: torch.Tensor, objective: Mixture, counts: Mapping[str, float]
) -> dict[str, float]:
    """Each term's loss over the step; a term that nothing supervised is left out."""
    divisors = objective.divisors(counts)
    return {
        term: sums[i].item() / divisors[term]
        for i, term in enumerate(objective.terms)
        if counts[term]
    }
