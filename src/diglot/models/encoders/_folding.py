"""Batch normalisation folded into the convolution before it: the same map, one step less.

In eval mode the normalisation is a scale and a shift of each channel, with fixed numbers:

    bn(W * x) = g / sqrt(var + eps) (W * x - mean) + b = (s W) * x + (b - s mean)
"""

import copy
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Pair = tuple[nn.Module, str, str]  # where, the convolution's name and its normalisation's


class FoldedCopies:
    """The folded copy of a network, made when it is asked for and again once a weight changes.

    The network itself stays as it is: checkpoints and exports keep its weights. A copy takes as
    much memory as the network.
    """

    def __init__(self) -> None:
        self._state: tuple[Any, ...] = ()
        self._copy: tuple[nn.Module, ...] = ()  # in a tuple: not a submodule of what holds this

    def of(self, net: nn.Module) -> Any:
        """The copy for the weights as they are now, in eval mode, without gradients."""
        state = _state_of(net)
        if state != self._state:
            self._state, self._copy = state, (_fold_convolution(net),)
        return self._copy[0]


def _state_of(net: nn.Module) -> tuple[Any, ...]:
    """What changes with any weight or statistic, in place or by another tensor."""
    tensors = [*net.parameters(), *net.buffers()]
    return tuple((t.data_ptr(), t._version, t.dtype, t.device) for t in tensors)


def _fold_convolution(net: nn.Module) -> nn.Module:
    folded = copy.deepcopy(net).eval().requires_grad_(False)
    for module, convolution, norm in list(_pairs_of(folded)):
        fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
        setattr(module, convolution, fused)
        setattr(module, norm, nn.Identity())
    return folded


def _pairs_of(net: nn.Module) -> Iterable[Pair]:
    """Each convolution that a batch normalisation follows among its module's children, in order."""
    for module in net.modules():
        children = list(module.named_children())
        for (name, child), (next_name, following) in pairwise(children):
            if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                yield module, name, next_name
