"""Checkpoints of a run in progress, so that a killed run goes on to the same losses.

Weights that learn and the optimizer's state as safetensors, the rest as JSON: no pickle. Data order
and learning rate are functions of the step, so the step is all there is to remember of them.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from diglot.core.errors import ConfigError

STATE, WEIGHTS, OPTIMIZER = "state.json", "weights.safetensors", "optimizer.safetensors"
# Whole tensors on the CPU, whichever way the run is sharded.
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
LOAD = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> None:
    """Write the state after `step` steps, then drop older ones. It appears whole or not at all."""
    if not _plain(optimizer).state:
        return  # no update yet, so nothing to keep; torch would make a state up by an empty step
    # every process takes part in the gathering; the main one gets the result
    optimizer_state: Any = get_optimizer_state_dict(model, _plain(optimizer), options=WHOLE)
    model_state: Any = get_model_state_dict(model, options=WHOLE)
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    tensors, groups = _flatten(optimizer_state["state"]), optimizer_state["param_groups"]
    # the model's state holds a frozen head too where it is tied to the words
    learn = [name for group in groups for name in group["params"]]
    weights = {name: model_state[name].contiguous() for name in learn}
    target = folder / f"step-{step:08d}"
    staging = folder / f".step-{step:08d}.{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    save_file(weights, staging / WEIGHTS)
    save_file(tensors | {"random": torch.get_rng_state()}, staging / OPTIMIZER)
    scaler = accelerator.scaler.state_dict() if accelerator.scaler else None
    told = {"step": step, "optimizer": groups, "scaler": scaler}
    (staging / STATE).write_text(json.dumps(told))
    for file in staging.iterdir():
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
    shutil.rmtree(target, ignore_errors=True)
    os.replace(staging, target)
    for old in folder.iterdir():
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> int:
    """Put the newest state back; returns how many steps are done (0 where there is none).

    Raises ConfigError where the newest state cannot be read.
    """
    newest = max(folder.glob("step-*"), default=None) if folder.is_dir() else None
    if newest is None:
        return 0
    try:
        told = json.loads((newest / STATE).read_text())
        weights: Any = load_file(newest / WEIGHTS)
        tensors = load_file(newest / OPTIMIZER)
        torch.set_rng_state(tensors.pop("random"))
        set_model_state_dict(model, weights, options=LOAD)
        state: Any = {"state": _nest(tensors), "param_groups": told["optimizer"]}
        set_optimizer_state_dict(model, _plain(optimizer), state, options=LOAD)
        if accelerator.scaler and told["scaler"]:
            accelerator.scaler.load_state_dict(told["scaler"])
        return int(told["step"])
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"the saved state cannot be read ({' '.join(str(error).split())[:300]})",
            where=str(newest),
            fix="Delete this folder: the run then starts over.",
        ) from error


def _plain(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer inside Accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)


def _flatten(state: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """{parameter: {moment: tensor}} as {"moment parameter": tensor}, for safetensors."""
    return {
        f"{moment} {name}": tensor.contiguous()
        for name, moments in state.items()
        for moment, tensor in moments.items()
    }


def _nest(flat: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The inverse of `_flatten`."""
    state: dict[str, dict[str, torch.Tensor]] = {}
    for told, tensor in flat.items():
        moment, name = told.split(" ", 1)
        state.setdefault(name, {})[moment] = tensor
    return state
