"""Stopping between two steps: Ctrl-C and SIGTERM let the step end, and its state is saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Notes a signal instead of dying of it, while the block runs. A second one is obeyed at once.

    Of several processes, one that was asked stops them all after the same step.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator, self._signal = accelerator, 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def came(self) -> bool:
        """Whether this or another process of the run was asked to stop."""
        if self._accelerator.num_processes > 1:
            asked = torch.tensor([self._signal], device=self._accelerator.device)
            gathered: Any = self._accelerator.gather(asked)
            self._signal = int(gathered.max())
        return self._signal > 0

    def obey(self) -> None:
        """End as the signal would have: KeyboardInterrupt, or SystemExit with 128 + its number."""
        if self._signal == signal.SIGTERM:
            raise SystemExit(128 + self._signal)
        raise KeyboardInterrupt
