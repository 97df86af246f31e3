"""The device of a process: an engine's workers have a GPU each."""

import os

import torch

_WORKER = "DIGLOT_SYNTH_WORKER"


def note_worker(number: int) -> None:
    """From now on this process is worker `number`."""
    os.environ[_WORKER] = str(number)


def find_device() -> torch.device:
    """This worker's device: its own GPU of several, the only GPU, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number = int(os.environ.get(_WORKER, "0"))
    return torch.device("cuda", number % torch.cuda.device_count())
