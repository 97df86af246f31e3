"""On which devices a model runs: one, or a language model's layers spread over several GPUs.

A model that does not fit on the first GPU is spread over all that the process may use, as
`device_map="auto"` of transformers does, but with all that is no decoder layer (encoder, projector,
words, final norm, head) on the first: what reads these finds them together.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import nn

from diglot.core.distributed import rank_and_world_size
from diglot.core.errors import ConfigError
from diglot.models.vlm import VLM

log = logging.getLogger(__name__)

FILLED = 0.8  # of a GPU's free memory may be weights; the rest is for what is computed


def default_device() -> str:
    """Where a model of this process runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def move_to_devices(vlm: VLM) -> VLM:
    """The model on the GPU if there is one, on all of them if it does not fit on the first.

    Several processes have a GPU each. To run on fewer, set CUDA_VISIBLE_DEVICES.
    """
    gpus = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    if len(gpus) < 2 or rank_and_world_size()[1] > 1:
        return vlm.to(default_device())
    room = [int(FILLED * torch.cuda.mem_get_info(gpu)[0]) for gpu in gpus]
    if count_bytes(vlm) <= room[0]:
        return vlm.to(gpus[0])
    spread_layers(vlm, gpus, room)
    log.info("the language model's layers are spread over %d GPUs", len(gpus))
    return vlm


def count_bytes(*modules: nn.Module) -> int:
    """Bytes of all weights and buffers, shared ones once."""
    tensors = (t for module in modules for t in (*module.parameters(), *module.buffers()))
    return sum(t.nbytes for t in {id(t): t for t in tensors}.values())


def spread_layers(vlm: VLM, devices: Sequence[torch.device], room: Sequence[int]) -> None:
    """Decoder layers over the devices, in order and in proportion to `room` (bytes); all else on
    the first.

    Each layer's inputs are moved to it and its outputs back. Raises ConfigError where the devices
    do not hold the model.
    """
    layers = find_layers(vlm)
    sizes = [count_bytes(layer) for layer in layers]
    rest = count_bytes(vlm) - sum(sizes)
    shares = share_layers(sizes, [room[0] - rest, *room[1:]])
    for layer, number in zip(layers, shares, strict=True):
        layer.to(devices[number])
        hook = AlignDevicesHook(execution_device=devices[number], io_same_device=True)
        add_hook_to_module(layer, hook)
    for module in _modules_outside(vlm, layers):
        module._apply(lambda tensor: tensor.to(devices[0]), recurse=False)


def find_layers(vlm: VLM) -> list[nn.Module]:
    """The decoder's layers: the largest list of modules in the language model."""
    lists = [m for m in vlm.language.model.modules() if isinstance(m, nn.ModuleList)]
    return list(max(lists, key=lambda found: count_bytes(found)))


def share_layers(sizes: Sequence[int], room: Sequence[int]) -> list[int]:
    """The device's number of each layer of so many bytes, each device filled in like measure.

    Raises ConfigError where they do not fit.
    """
    room = [max(0, bytes_) for bytes_ in room]
    total, ends = sum(room), list(accumulate(room))
    numbers: list[int] = []
    for middle in _middles(sizes):
        at = middle / sum(sizes) * total  # where in the joined room this layer falls
        numbers.append(next((n for n, end in enumerate(ends) if at < end), len(room) - 1))
    if sum(sizes) > total:
        raise ConfigError(
            "the language model does not fit on the GPUs",
            expected=f"room for layers of {sum(sizes) / 2**30:.1f} GiB",
            got=f"{total / 2**30:.1f} GiB free beside its other parts",
            where="model.language",
            fix="Use more GPUs, or keep its weights in half precision (model.language.dtype).",
        )
    return numbers


def _middles(sizes: Sequence[int]) -> Iterable[float]:
    return (end - size / 2 for size, end in zip(sizes, accumulate(sizes), strict=True))


def _modules_outside(vlm: nn.Module, layers: Sequence[nn.Module]) -> list[nn.Module]:
    inside = {id(module) for layer in layers for module in layer.modules()}
    return [module for module in vlm.modules() if id(module) not in inside]
