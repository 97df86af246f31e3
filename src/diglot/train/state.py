"""Checkpoints of a run in progress, so that a killed run resumes to the same losses.

Weights that learn and the optimizer's state as safetensors, the rest as JSON: no pickle. Data order
and learning rate are functions of the step, so the step is all there is to remember of them.
"""

import shutil
from collections.abc import Sequence
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
from diglot.core.run_files import SETTINGS
from diglot.files import read_kept, replacing_folder, write_kept
from diglot.train.integrity import check_digests, find_digests

FORMAT = "diglot training state 2"
START_OVER = "Delete the folder `state`: the run then starts over."
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
) -> bool:
    """Write the state after `step` steps, then drop older ones. It appears whole or not at all.

    Returns whether there is one: before the first update there is nothing to keep.
    """
    if not _unwrap_optimizer(optimizer).state:
        return False  # torch would make a state up by an empty step
    # every process takes part in the gathering; the main one gets the result
    optimizer_state: Any = get_optimizer_state_dict(
        model, _unwrap_optimizer(optimizer), options=WHOLE
    )
    model_state: Any = get_model_state_dict(model, options=WHOLE)
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return True
    tensors, groups = _flatten_moments(optimizer_state["state"]), optimizer_state["param_groups"]
    # the model's state holds a frozen head too where it is tied to the words
    learn = [name for group in groups for name in group["params"]]
    weights = {name: model_state[name].contiguous() for name in learn}
    target = folder / f"step-{step:08d}"
    scaler = accelerator.scaler.state_dict() if accelerator.scaler else None
    with replacing_folder(target) as staging:
        save_file(weights, staging / WEIGHTS)
        save_file(tensors | {"random": torch.get_rng_state()}, staging / OPTIMIZER)
        state = {"step": step, "optimizer": groups, "scaler": scaler}
        state |= {"files": find_digests(staging, (WEIGHTS, OPTIMIZER))}
        state |= {"record": find_digests(folder.parent)}
        write_kept(staging / STATE, FORMAT, state)
    for old in folder.iterdir():
        if old != target:  # older states, and what killed writers left
            shutil.rmtree(old, ignore_errors=True)
    return True


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> int:
    """Put the newest state back; returns how many steps are done (0 where there is none).

    Raises ConfigError where the newest state is damaged or of other weights, or a file of the run's
    record is not as it was.
    """
    if newest_state(folder) is None:
        return 0
    newest = max(folder.glob("step-*"))
    state = _read_state(newest)
    try:
        weights: Any = load_file(newest / WEIGHTS)
        tensors = load_file(newest / OPTIMIZER)
        torch.set_rng_state(tensors.pop("random"))
        unknown = set_model_state_dict(model, weights, options=LOAD).unexpected_keys
        moments: Any = {"state": _nest_moments(tensors), "param_groups": state["optimizer"]}
        _check_names(moments, weights, unknown, _unwrap_optimizer(optimizer))
        set_optimizer_state_dict(model, _unwrap_optimizer(optimizer), moments, options=LOAD)
        if accelerator.scaler and state["scaler"]:
            accelerator.scaler.load_state_dict(state["scaler"])
        return int(state["step"])
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"the saved state cannot be read ({' '.join(str(error).split())[:300]})",
            where=str(newest),
            fix=START_OVER,
        ) from error


def newest_state(folder: Path) -> int | None:
    """The steps of the newest state, found whole; None where there is none.

    Raises ConfigError where it, or a file of the run's record, is damaged.
    """
    newest = max(folder.glob("step-*"), default=None) if folder.is_dir() else None
    if newest is None:
        return None
    state = _read_state(newest)
    check_digests(newest, state["files"], fix=START_OVER)
    check_digests(folder.parent, state["record"], fix="Put a copy back, or start over.")
    return int(state["step"])


def release_settings(folder: Path) -> None:
    """Let the settings of a run change: its newest state no longer says what they were."""
    newest = max(folder.glob("step-*"), default=None) if folder.is_dir() else None
    if newest is not None:
        state = _read_state(newest)
        record = {name: entry for name, entry in state["record"].items() if name != SETTINGS}
        write_kept(newest / STATE, FORMAT, {**state, "record": record})


def _read_state(newest: Path) -> dict[str, Any]:
    state = read_kept(newest / STATE, FORMAT)
    if state is None:
        raise ConfigError(
            "the saved state is damaged, or of an older version",
            where=str(newest / STATE),
            fix=START_OVER,
        )
    return state


def _check_names(
    moments: dict[str, Any],
    weights: dict[str, torch.Tensor],
    unknown: Sequence[str],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Raises ConfigError unless the state is of just the weights that the optimizer has."""
    learn = [name for group in moments["param_groups"] for name in group["params"]]
    lacking = [name for name in learn if name not in weights]
    kinds = {frozenset(of_one) for of_one in moments["state"].values()}
    other = set(moments["state"]) - set(learn)
    size = sum(len(group["params"]) for group in optimizer.param_groups)
    if lacking or unknown or other or len(kinds) > 1 or len(learn) != size:
        raise ConfigError(
            "the saved state is of other weights",
            expected=f"{size} tensors that learn, each with the optimizer's moments",
            got=f"{len(learn)}; lacking {lacking[:3]}, unknown {[*unknown, *other][:3]}",
            fix=START_OVER,
        )


def _unwrap_optimizer(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer inside Accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)


def _flatten_moments(state: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """{parameter: {moment: tensor}} as {"moment parameter": tensor}, for safetensors."""
    return {
        f"{moment} {name}": tensor.contiguous()
        for name, moments in state.items()
        for moment, tensor in moments.items()
    }


def _nest_moments(flat: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The inverse of `_flatten`."""
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in flat.items():
        moment, name = key.split(" ", 1)
        state.setdefault(name, {})[moment] = tensor
    return state
