"""Our MLP projector in stock form: what of it fits, and its weights by other names."""

from typing import Any

import torch
from torch import nn

from diglot.models.export.container import State
from diglot.models.export.design import Design

SWIGLU_SCALE = {"quick_gelu": 1.702, "silu": 1.0}
LAYER_NORM_AFTER_UNSHUFFLE = "a LayerNorm on the merged features"


def mlp_misfits(
    design: Design,
    *,
    unshuffle: bool,
    input_norm: bool | None,
    activations: tuple[str, ...],
    free_width: bool,
) -> list[str]:
    """Why an MLP does not fit. `input_norm` None: either will do."""
    settings = design.projector
    if settings["name"] != "mlp":
        return [f"projector {settings['name']}: it has an MLP of two layers"]
    reasons = []
    if not unshuffle and settings["unshuffle"] != 1:
        reasons.append(f"projector.unshuffle {settings['unshuffle']}: it merges no tokens")
    if input_norm is not None and settings["input_norm"] != input_norm:
        reasons.append(
            f"projector.input_norm {settings['input_norm']}: it {'has' if input_norm else 'lacks'} "
            "a LayerNorm before the MLP"
        )
    if settings["activation"] not in activations:
        reasons.append(
            f"projector.activation {settings['activation']}: it has {' or '.join(activations)}"
        )
    width = settings["hidden"]
    if not free_width and width not in (None, design.text_width) and design.text_width:
        reasons.append(f"projector.hidden {width}: its middle is as wide as the language model")
    return reasons


def plain_mlp_misfits(design: Design) -> list[str]:
    """Why it is no Linear-activation-Linear as wide as the language model, and nothing before."""
    return mlp_misfits(
        design,
        unshuffle=False,
        input_norm=False,
        activations=("gelu", "quick_gelu", "silu"),
        free_width=False,
    )


def linear_misfits(design: Design, *, bias: bool) -> list[str]:
    """Why a single matrix does not fit."""
    settings = design.projector
    if settings["name"] != "linear":
        return [f"projector {settings['name']}: it has one linear layer"]
    if settings["bias"] != bias:
        return [f"projector.bias {settings['bias']}: its layer has {'one' if bias else 'none'}"]
    return []


def linear_pair(projector: Any, *, norm: str | None = None) -> State:
    """fc1 and fc2 as linear_1 and linear_2, and the norm under the name `norm`."""
    state = {
        f"{theirs}.{kind}": getattr(getattr(projector, ours), kind)
        for ours, theirs in (("fc1", "linear_1"), ("fc2", "linear_2"))
        for kind in ("weight", "bias")
    }
    if norm and isinstance(projector.norm, nn.LayerNorm):
        state |= {f"{norm}.weight": projector.norm.weight, f"{norm}.bias": projector.norm.bias}
    return state


def swiglu_pair(projector: Any, activation: str) -> State:
    """The same MLP as a SwiGLU of the same width: x · SiLU(g) with x constant.

    SiLU(s z) / s is SiLU for s = 1 and quick-GELU for s = 1.702. So the half that is gated is
    constant 1/s (weight 0), and the half that passes the SiLU is s times fc1.
    """
    scale = SWIGLU_SCALE[activation]
    fc1, fc2 = projector.fc1, projector.fc2
    gated = torch.zeros_like(fc1.weight)
    constant = torch.full_like(fc1.bias, 1 / scale)
    return {
        "linear_1.weight": torch.cat([gated, fc1.weight * scale]),
        "linear_1.bias": torch.cat([constant, fc1.bias * scale]),
        "linear_2.weight": fc2.weight,
        "linear_2.bias": fc2.bias,
    }
