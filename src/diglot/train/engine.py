"""DeepSpeed from the user's own `accelerate config`: ZeRO 1, by its engine.

Each process keeps the optimizer's state of its share of the weights; weights and gradients are
whole everywhere, so whatever reads them reads them as without DeepSpeed. The engine makes the
backward passes, the clipping and the step. Accelerate would let it step behind every backward pass;
here it steps once, behind the last micro-batch.

ZeRO 2 sums gradients over processes in the order in which they are ready. That is another order
where a process has text alone or another objective: it would add up gradients of different weights.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from diglot.core.errors import ConfigError
from diglot.models.vlm import VLM
from diglot.train.config import StageConfig
from diglot.train.updates import Autocast, Compute, R, Updates, WholeState

log = logging.getLogger(__name__)

WHERE = "accelerate config: deepspeed_config"
MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW


def uses_engine(accelerator: Accelerator) -> bool:
    """Whether DeepSpeed trains."""
    return accelerator.distributed_type is DistributedType.DEEPSPEED


class LossModule(nn.Module):
    """What the engine runs: a model's loss, since its hooks begin at what its module returns."""

    def __init__(self, vlm: VLM, autocast: Autocast) -> None:
        super().__init__()
        self.vlm, self.autocast = vlm, autocast

    def forward(self, function: Compute[R]) -> R:
        """function(model, autocast), whose first result is the loss."""
        return function(self.vlm, self.autocast)


class EngineUpdates(Updates):
    """By a DeepSpeed engine."""

    def __init__(
        self,
        engine: Any,
        optimizer: Any,
        accelerator: Accelerator,
        groups: Sequence[dict[str, Any]],
    ) -> None:
        """`groups` are the recipe's optimizer's, their "params" names: the engine may use another
        Adam, of other settings, and a state is to fit any run.
        """
        super().__init__(engine.module.vlm, optimizer, accelerator)
        self.engine, self.groups = engine, groups
        self._utils: Any = import_module("deepspeed.utils")  # a package of the user's
        self.weights = {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    @property
    def needs_all(self) -> bool:
        """Also of one process: the engine waits for a gradient of all that learns."""
        return True

    def begin(self) -> None:
        """The engine forgets gradients by itself, behind its step."""

    def in_pass(self, *, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        """The engine is given to know whether the pass is the last one, not the context."""
        return contextlib.nullcontext()

    def compute(self, function: Compute[R]) -> R:
        """function(model, autocast) inside the engine's own forward pass."""
        return self.engine(function)

    def backward(self, loss: torch.Tensor, *, is_last: bool) -> None:
        """Add a micro-batch's gradient; behind the last one they are summed over processes."""
        self.engine.set_gradient_accumulation_boundary(is_last)
        self.engine.backward(loss)

    def finish(self, clip: float, check: Callable[[float], None]) -> float:
        """Clips as the engine was set up to, and updates: it does both before `check`."""
        self._step()
        norm = float(self.engine.get_global_grad_norm())
        check(norm)
        return norm

    def _step(self) -> None:
        is_first = not self.has_state
        self.engine.step()
        if is_first:
            self._link_moments()

    def gradient_of(self, weight: nn.Parameter) -> torch.Tensor | None:
        """The mean of its gradients so far: behind a step the engine holds none."""
        return self._moment(weight, MOMENTS[0]) if self.has_state else None

    def _link_moments(self) -> None:
        """Let each weight find its moments: the engine does so behind its first group's step."""
        for shared, group in zip(self.optimizer.param_groups, self.groups, strict=True):
            weights, (flat,) = [self.weights[name] for name in group["params"]], shared["params"]
            self._utils.lazy_init_hp_params_optimizer_state(weights, flat, self.optimizer.state)

    def _moment(self, weight: nn.Parameter, key: str) -> torch.Tensor:
        return self._utils.safe_get_full_optimizer_state(weight, key)

    @property
    def size(self) -> int:
        """How many weights it updates; its optimizer holds them as one a group."""
        return len(self.weights)

    def read_whole(self) -> WholeState:
        """Every process takes part and gets the result."""
        taken = float(next(iter(self.optimizer.state.values()))["step"])  # of all groups
        weights, moments = {}, {}
        for name, weight in self.weights.items():
            weights[name] = _on_cpu(self._utils.safe_get_full_fp32_param(weight))
            moments[name] = {key: _on_cpu(self._moment(weight, key)) for key in MOMENTS}
            moments[name]["step"] = torch.tensor(taken)
        return WholeState(weights, moments, self.groups)

    def put_weights(self, weights: Mapping[str, torch.Tensor]) -> Sequence[str]:
        """Put back the weights that learn; the names that are of none."""
        self._make_moments()
        with torch.no_grad():
            for name, weight in self.weights.items():
                if name in weights:
                    weight.copy_(weights[name])  # what is computed with
                    own = weight.detach().float()
                    self._utils.safe_set_full_fp32_param(weight, own)  # what is updated
        return [name for name in weights if name not in self.weights]

    def put_moments(self, whole: WholeState) -> None:
        """Put back the moments, each process its share."""
        for name, weight in self.weights.items():
            for key in MOMENTS:
                value = whole.moments[name][key].to(weight.device)
                self._utils.safe_set_full_optimizer_state(weight, value, key)
        taken = max(float(moments["step"]) for moments in whole.moments.values())
        for state in self.optimizer.state.values():
            was = state["step"]  # a number in DeepSpeed's own Adam, which offloads
            state["step"] = torch.full_like(was, taken) if torch.is_tensor(was) else int(taken)

    def _make_moments(self) -> None:
        """Let the optimizer make its state, by a step of rate 0 on a gradient of 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0
        sums = (weight.sum() for weight in self.weights.values())
        nothing = self.compute(lambda model, autocast: 0.0 * torch.stack([*sums]).sum())
        self.backward(nothing, is_last=True)
        self._step()


def prepare_engine(
    vlm: VLM, optimizer: torch.optim.Optimizer, accelerator: Accelerator, config: StageConfig
) -> EngineUpdates:
    """The model and its optimizer under DeepSpeed, with float32 weights and the recipe's clipping.

    Raises ConfigError for what the user's configuration asks and a recipe's steps cannot have.
    """
    plugin: Any = accelerator.state.deepspeed_plugin
    settings: dict[str, Any] = plugin.deepspeed_config
    _check_settings(settings, config)
    _adopt_recipe(settings, config)
    name_of = {id(parameter): name for name, parameter in vlm.named_parameters()}
    groups = [
        {**group, "params": [name_of[id(weight)] for weight in group["params"]]}
        for group in optimizer.param_groups
    ]
    module = LossModule(vlm, _make_autocast(accelerator, config.precision))
    try:
        engine, wrapped = accelerator.prepare(module, optimizer)
    except (ValueError, ImportError) as error:
        raise ConfigError(" ".join(str(error).split()), where=WHERE) from error
    return EngineUpdates(engine, wrapped, accelerator, groups)


def _check_settings(settings: Mapping[str, Any], config: StageConfig) -> None:
    stage = settings.get("zero_optimization", {}).get("stage", 0)
    if stage not in (1, 2):
        other = "FSDP with fsdp_version: 2, which shards as ZeRO 3 does"
        raise ConfigError(
            "of DeepSpeed's ways of sharing, ZeRO 1 is known here",
            got=f"stage {stage}",
            where=f"{WHERE}.zero_stage",
            fix=f"Choose {other}." if stage else "Choose MULTI_GPU, which shares nothing either.",
        )
    if config.precision == "fp16":
        raise ConfigError(
            "DeepSpeed scales the losses of fp16 in its own way",
            got=config.precision,
            where="precision",
            fix="Set precision: bf16, or train without DeepSpeed.",
        )
    for part in ("optimizer", "scheduler"):
        if part in settings:
            raise ConfigError(
                f"the {part} is the recipe's",
                got=f"one in DeepSpeed's own file, too: {settings[part]}",
                where=WHERE,
                fix="Take it out of the file, and set `optim` in the recipe.",
            )


def _adopt_recipe(settings: dict[str, Any], config: StageConfig) -> None:
    """Let the recipe say what is the recipe's."""
    settings.pop("train_batch_size", None)
    settings |= {
        "bf16": {"enabled": False},  # by autocast, as without it: the weights stay in float32
        "fp16": {"enabled": False},
        "gradient_clipping": max(config.optim.clip, 0.0),  # 0: none
        "gradient_accumulation_steps": 1,  # a loss is divided by the items of the whole step
        "train_micro_batch_size_per_gpu": config.micro_batch,
    }
    sharing = settings["zero_optimization"]
    if sharing["stage"] == 2:
        log.warning(
            "ZeRO 1 in place of ZeRO 2, which adds up gradients in the order in which they are "
            "ready, another one where processes have other documents: gradients stay whole"
        )
    # gradients are summed at the step's end, in the order of the weights
    sharing |= {"stage": 1, "overlap_comm": False}


def _make_autocast(accelerator: Accelerator, precision: str) -> Autocast:
    if precision != "bf16":
        return contextlib.nullcontext
    return lambda: torch.autocast(accelerator.device.type, dtype=torch.bfloat16)


def _on_cpu(value: torch.Tensor) -> torch.Tensor:
    return value.detach().cpu().clone()
