"""How a step's gradients are summed over micro-batches and processes, clipped and applied."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from diglot.train.sharding import is_sharded

R = TypeVar("R")
# Whole tensors on the CPU, whichever way the run is sharded.
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
LOAD = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)
Autocast = Callable[[], AbstractContextManager[Any]]
Compute = Callable[[nn.Module, Autocast], R]


@dataclass(frozen=True)
class WholeState:
    """What a run resumes from, whole and on the CPU, the same whichever way the run is shared."""

    weights: Mapping[str, torch.Tensor]  # those that learn, by name
    moments: Mapping[str, Mapping[str, torch.Tensor]]  # of each weight, by their own names
    groups: Sequence[dict[str, Any]]  # the optimizer's settings; "params" are names


class Updates:
    """By torch's optimizer under Accelerate: one process, several, or FSDP2."""

    def __init__(self, model: nn.Module, optimizer: Any, accelerator: Accelerator) -> None:
        self.model, self.optimizer, self.accelerator = model, optimizer, accelerator

    @property
    def needs_all(self) -> bool:
        """Whether every process must make as many passes, with a gradient of all that learns."""
        return self.accelerator.num_processes > 1

    def begin(self) -> None:
        """Forget the gradients of the step before."""
        self.optimizer.zero_grad(set_to_none=True)

    def in_pass(self, *, is_last: bool) -> AbstractContextManager[Any]:
        """Around a micro-batch: gradients are summed over processes in the last one alone."""
        return contextlib.nullcontext() if is_last else self.accelerator.no_sync(self.model)

    def compute(self, function: Compute[R]) -> R:
        """function(model, autocast); its first result is the loss."""
        # Accelerate wraps a model's forward in autocast unless FSDP2 shards it
        own = self.accelerator.autocast if is_sharded(self.model) else contextlib.nullcontext
        return function(self.model, lambda: own())

    def backward(self, loss: torch.Tensor, *, is_last: bool) -> None:
        """Add a micro-batch's gradient."""
        if loss.requires_grad:
            self.accelerator.backward(loss)

    def finish(self, clip: float, check: Callable[[float], None]) -> float:
        """Scale the gradient to a norm of at most `clip` (0 = as it is) and update the weights.

        Returns its norm before, which `check` is given and may raise for.
        """
        norm = self._clip(clip)
        check(norm)
        self._apply()
        return norm

    def _clip(self, clip: float) -> float:
        learn = [p for p in self.model.parameters() if p.requires_grad]
        norm = self.accelerator.clip_grad_norm_(learn, clip if clip > 0 else float("inf"))
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        return float(norm) if norm is not None else 0.0

    def _apply(self) -> None:
        """Update the weights; a part that nothing gave a gradient has one of 0.

        As several processes have it. Without one AdamW would leave a part's moments as they are
        in a step without images.
        """
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()

    def gradient_of(self, weight: nn.Parameter) -> torch.Tensor | None:
        """What says whether a gradient reached a weight, behind a step; of a shard, ours."""
        gradient: Any = weight.grad
        return gradient.to_local() if isinstance(gradient, DTensor) else gradient

    @property
    def has_state(self) -> bool:
        """Whether the optimizer has moments: it makes them in its first step."""
        return bool(self._bare_optimizer.state)

    @property
    def size(self) -> int:
        """How many weights the optimizer has."""
        return sum(len(group["params"]) for group in self._bare_optimizer.param_groups)

    def read_whole(self) -> WholeState:
        """Every process takes part in the gathering; the main one gets the result."""
        moments: Any = get_optimizer_state_dict(self.model, self._bare_optimizer, options=WHOLE)
        model: Any = get_model_state_dict(self.model, options=WHOLE)
        groups = moments.get("param_groups", [])  # none but in the main process
        # the model's state holds a frozen head too where it is tied to the words
        weights = {name: model[name] for group in groups for name in group["params"]}
        return WholeState(weights, moments.get("state", {}), groups)

    def put_weights(self, weights: Mapping[str, torch.Tensor]) -> Sequence[str]:
        """Put back the weights that learn; the names that are of none."""
        return set_model_state_dict(self.model, dict(weights), options=LOAD).unexpected_keys

    def put_moments(self, whole: WholeState) -> None:
        """Put back the moments and the settings of the groups."""
        state: Any = {"state": whole.moments, "param_groups": whole.groups}
        set_optimizer_state_dict(self.model, self._bare_optimizer, state, options=LOAD)

    @property
    def _bare_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer inside Accelerate's wrapper."""
        return getattr(self.optimizer, "optimizer", self.optimizer)
