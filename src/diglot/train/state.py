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
WHOLE = StateDictOptions(
    full_state_dict=True,
    cpu_offload=True,
    ignore_frozen_params=True,
    flatten_optimizer_state_dict=True,
)
LOAD = StateDictOptions(
    full_state_dict=True,
    ignore_frozen_params=True,
    flatten_optimizer_state_dict=True,
    strict=False,
)


def learned_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights that learn, whole, on the CPU."""
    state = get_model_state_dict(model, options=WHOLE)
    return {name: value.contiguous() for name, value in state.items()}


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> None:
    """Write the state after `step` steps, then drop older ones. It appears whole or not at all."""
    weights = learned_weights(model)
    flat = get_optimizer_state_dict(model, _plain(optimizer), options=WHOLE)
    tensors, values = _split_state(flat)
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    target = folder / f"step-{step:08d}"
    staging = folder / f".step-{step:08d}.{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    save_file(weights, staging / WEIGHTS)
    save_file(tensors | {"random": torch.get_rng_state()}, staging / OPTIMIZER)
    scaler = accelerator.scaler.state_dict() if accelerator.scaler else None
    told = {"step": step, "optimizer": values, "scaler": scaler}
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
        weights, tensors = load_file(newest / WEIGHTS), load_file(newest / OPTIMIZER)
        torch.set_rng_state(tensors.pop("random"))
        set_model_state_dict(model, weights, options=LOAD)
        state: dict[str, Any] = tensors | told["optimizer"]
        set_optimizer_state_dict(model, _plain(optimizer), state, options=LOAD)
        if accelerator.scaler and told["scaler"]:
            accelerator.scaler.load_state_dict(told["scaler"])
        return int(told["step"])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"the saved state cannot be read: {error}",
            where=str(newest),
            fix="Delete this folder: the run then starts over.",
        ) from error


def _plain(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer inside Accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)


def _split_state(flat: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors for safetensors, and the rest for JSON."""
    tensors = {k: v.contiguous() for k, v in flat.items() if isinstance(v, torch.Tensor)}
    values = {k: v for k, v in flat.items() if not isinstance(v, torch.Tensor)}
    return tensors, values
