"""FSDP2 from the user's own `accelerate config`: what may be sharded, and whole weights for probes.

Accelerate shards a model by `fully_shard`: its root holds what no other unit does, and is whole
from the forward pass to the end of the backward pass; a layer that is a unit is whole only while it
runs. So the weights that are read outside of their module's forward (words, head, separators,
heads of objectives) stay with the root, and units may be layers alone. Each unit gathers its
weights in every process at once: all of them must run it as often.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from diglot.core.batch import ForwardOutput
from diglot.core.errors import ConfigError
from diglot.models.vlm import VLM

log = logging.getLogger(__name__)

WHERE = "accelerate config: fsdp_config"
EFFICIENT = "FSDP_CPU_RAM_EFFICIENT_LOADING"
DEEPSPEED = "ACCELERATE_USE_DEEPSPEED"


def read_sharding() -> None:
    """Before an Accelerator is made: every process reads whole weights, which the checks need."""
    if _wanted() and _is_on(EFFICIENT):
        log.info("%s.fsdp_cpu_ram_efficient_loading is off: every process reads the model", WHERE)
        os.environ[EFFICIENT] = "false"


def waits_for_gpus() -> bool:
    """Whether DeepSpeed would wait for devices that are not there: then it must be left out."""
    return _is_on(DEEPSPEED) and not torch.accelerator.is_available()


def check_sharding(accelerator: Accelerator, vlm: VLM) -> None:
    """Before the model is wrapped. Raises ConfigError for settings that cannot train this model."""
    kind = accelerator.distributed_type
    if kind is not DistributedType.FSDP:
        if _wanted() or (_is_on(DEEPSPEED) and kind is not DistributedType.DEEPSPEED):
            log.warning("nothing is sharded: Accelerate shards over several devices alone")
        return
    plugin: Any = accelerator.state.fsdp_plugin
    if not accelerator.is_fsdp2:
        raise ConfigError("FSDP 1 is not known here", where=WHERE, fix="Set fsdp_version: 2.")
    if plugin.activation_checkpointing:
        raise ConfigError(
            "it would rename the weights",
            where=f"{WHERE}.fsdp_activation_checkpointing",
            fix="Set it to false, and the recipe's gradient_checkpointing to true.",
        )
    plugin.mixed_precision_policy = None  # autocast, as unsharded; losses and sums in float32
    check_units(vlm, find_units(plugin, vlm))


def find_units(plugin: Any, vlm: VLM) -> dict[str, nn.Module]:
    """What the user's policy makes units of, by name; for layers none are named, the LLM's own."""
    if plugin.transformer_cls_names_to_wrap is None:
        names = getattr(vlm.language.model, "_no_split_modules", None) or ()
        own = {type(module).__name__ for module in vlm.language.modules()}
        plugin.transformer_cls_names_to_wrap = sorted(own & set(names))
    try:
        plugin.set_auto_wrap_policy(vlm)
        is_unit = fsdp2_prepare_auto_wrap_policy(plugin, vlm)
    except ValueError as error:
        raise ConfigError(str(error), where=WHERE) from error
    if is_unit is None:
        return {}
    return {name: module for name, module in vlm.named_modules() if name and is_unit(module)}


def check_units(vlm: VLM, units: dict[str, nn.Module]) -> None:
    """Raises ConfigError for units whose weights are read outside, or that run unevenly often."""
    layers = [f"{n}." for n, module in vlm.named_modules() if isinstance(module, nn.ModuleList)]
    for name in units:
        if not name.startswith(tuple(layers)):
            raise ConfigError(
                "weights of this module are read outside of it, so it cannot be sharded alone",
                expected="layers alone, such as LlamaDecoderLayer",
                got=name,
                where=WHERE,
                fix="Set fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP and name the layers' class "
                "in fsdp_transformer_layer_cls_to_wrap, or set NO_WRAP.",
            )
    parts = {name.split(".")[0] for name in units}
    if "language" in parts and vlm.attention == "separate":
        raise _uneven("language model", "processes run one pass a document (attention: separate)")
    if parts - {"language"} and vlm.preprocess.mode in ("native", "naflex"):
        raise _uneven("encoder", "processes run one pass a shape of image (preprocess: native)")


def _uneven(part: str, why: str) -> ConfigError:
    return ConfigError(
        f"the {part}'s layers cannot be sharded one by one: {why}, and would wait for each other",
        where=WHERE,
        fix=f"Set fsdp_auto_wrap_policy: NO_WRAP, or name no class of the {part}'s.",
    )


def _wanted() -> bool:
    return _is_on("ACCELERATE_USE_FSDP")


def _is_on(name: str) -> bool:
    return os.environ.get(name, "false").lower() == "true"


def is_sharded(model: nn.Module) -> bool:
    """Whether FSDP2 holds its weights."""
    return isinstance(model, FSDPModule)


def blank_views(vlm: VLM, views_are: str) -> tuple[torch.Tensor, ...]:
    """A view for a pass of text alone, so that every process runs the units that see images."""
    side, device = vlm.preprocess.image_px, vlm.language.input_embeddings.weight.device
    pixels_3HW = torch.zeros(3, side, side, device=device)
    if views_are == "pixels":
        return (pixels_3HW,)
    with torch.no_grad():
        return tuple(vlm.features([pixels_3HW]))


def touch_everything(model: nn.Module, out: ForwardOutput) -> torch.Tensor:
    """0, which depends on all that learns: every process must have a gradient of all of it.

    Units are whole no more behind the forward pass; what they put out stands for them.
    """
    whole = [p for p in model.parameters() if p.requires_grad and not isinstance(p, DTensor)]
    made = out.visual_ND, out.log_prob_S, out.last_BTD, out.unnormed_BTD, *(out.hidden or ())
    made = [tensor for tensor in made if tensor is not None] if is_sharded(model) else []
    return 0.0 * sum((tensor.sum() for tensor in [*whole, *made]), start=torch.zeros(()))


@contextmanager
def whole_weights(model: nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """All weights whole in every process, for code that reads them as it likes."""
    units = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        for unit in units:
            unit.reshard()
            if unit is not model:  # torch leaves the root whole behind its forward pass
                plugin: Any = accelerator.state.fsdp_plugin
                unit.set_reshard_after_forward(plugin.reshard_after_forward, recurse=False)
