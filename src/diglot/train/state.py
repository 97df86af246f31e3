"""Checkpoints of a run in progress, so that a killed run resumes to the same losses.

Weights that learn and the optimizer's state as safetensors, the rest as JSON: no pickle. Data order
and learning rate are functions of the step, so the step is all there is to remember of them.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from diglot.core.errors import ConfigError
from diglot.core.run_files import SETTINGS
from diglot.files import read_kept, replacing_folder, write_kept
from diglot.train.integrity import check_digests, find_digests
from diglot.train.updates import Updates, WholeState

FORMAT = "diglot training state 2"
START_OVER = "Delete the folder `state`: the run then starts over."
STATE, WEIGHTS, OPTIMIZER = "state.json", "weights.safetensors", "optimizer.safetensors"


def save_state(folder: Path, step: int, updates: Updates) -> bool:
    """Write the state after `step` steps, then drop older ones. It appears whole or not at all.

    Returns whether there is one: before the first update there is nothing to keep.
    """
    if not updates.has_state:
        return False  # torch would make a state up by an empty step
    whole, accelerator = updates.read_whole(), updates.accelerator
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return True
    weights = {name: tensor.contiguous() for name, tensor in whole.weights.items()}
    target = folder / f"step-{step:08d}"
    scaler = accelerator.scaler.state_dict() if accelerator.scaler else None
    with replacing_folder(target) as staging:
        save_file(weights, staging / WEIGHTS)
        moments = _flatten_moments(whole.moments)
        save_file(moments | {"random": torch.get_rng_state()}, staging / OPTIMIZER)
        state = {"step": step, "optimizer": whole.groups, "scaler": scaler}
        state |= {"files": find_digests(staging, (WEIGHTS, OPTIMIZER))}
        state |= {"record": find_digests(folder.parent)}
        write_kept(staging / STATE, FORMAT, state)
    for old in folder.iterdir():
        if old != target:  # older states, and what killed writers left
            shutil.rmtree(old, ignore_errors=True)
    return True


def load_state(folder: Path, updates: Updates) -> int:
    """Put the newest state back; returns how many steps are done (0 where there is none).

    Raises ConfigError where the newest state is damaged or of other weights, or a file of the run's
    record is not as it was.
    """
    newest = _newest_folder(folder)
    if newest is None:
        return 0
    state = _check_state(newest)
    scaler = updates.accelerator.scaler
    try:
        weights = load_file(newest / WEIGHTS)
        tensors = load_file(newest / OPTIMIZER)
        torch.set_rng_state(tensors.pop("random"))
        whole = WholeState(weights, _nest_moments(tensors), state["optimizer"])
        _check_names(whole, updates.put_weights(weights), updates.size)
        updates.put_moments(whole)
        if scaler and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
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
    newest = _newest_folder(folder)
    return None if newest is None else int(_check_state(newest)["step"])


def release_settings(folder: Path) -> None:
    """Let the settings of a run change: its newest state no longer says what they were."""
    newest = _newest_folder(folder)
    if newest is not None:
        state = _read_state(newest)
        record = {name: entry for name, entry in state["record"].items() if name != SETTINGS}
        write_kept(newest / STATE, FORMAT, {**state, "record": record})


def _newest_folder(folder: Path) -> Path | None:
    return max(folder.glob("step-*"), default=None) if folder.is_dir() else None


def _check_state(newest: Path) -> dict[str, Any]:
    """What the state says, its files and the run's record found as they were."""
    state = _read_state(newest)
    check_digests(newest, state["files"], fix=START_OVER)
    check_digests(newest.parent.parent, state["record"], fix="Put a copy back, or start over.")
    return state


def _read_state(newest: Path) -> dict[str, Any]:
    state = read_kept(newest / STATE, FORMAT)
    if state is None:
        raise ConfigError(
            "the saved state is damaged, or of an older version",
            where=str(newest / STATE),
            fix=START_OVER,
        )
    return state


def _check_names(whole: WholeState, unknown: Sequence[str], size: int) -> None:
    """Raises ConfigError unless the state is of just the `size` weights that the optimizer has."""
    learn = [name for group in whole.groups for name in group["params"]]
    lacking = [name for name in learn if name not in whole.weights]
    kinds = {frozenset(of_one) for of_one in whole.moments.values()}
    other = set(whole.moments) - set(learn)
    if lacking or unknown or other or len(kinds) > 1 or len(learn) != size:
        raise ConfigError(
            "the saved state is of other weights",
            expected=f"{size} tensors that learn, each with the optimizer's moments",
            got=f"{len(learn)}; lacking {lacking[:3]}, unknown {[*unknown, *other][:3]}",
            fix=START_OVER,
        )


def _flatten_moments(state: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
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
