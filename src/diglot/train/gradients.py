"""Does every part that learns get a gradient? One that never does would train nothing, silently."""

import logging
from collections.abc import Callable, Iterable

import torch
from accelerate.utils import gather_object
from torch import nn

from diglot.core.errors import ConfigError

log = logging.getLogger(__name__)

PATIENCE = 20  # optimizer steps: a step of text alone gives a projector no gradient


GradientOf = Callable[[nn.Parameter], torch.Tensor | None]


def _own_gradient(weight: nn.Parameter) -> torch.Tensor | None:
    return weight.grad


class GradientWatch:
    """Waits until each part that learns has had a gradient above 0."""

    def __init__(
        self, vlm: nn.Module, parts: Iterable[str], gradient_of: GradientOf = _own_gradient
    ) -> None:
        """`gradient_of` a weight is its gradient, or what no gradient but 0 leaves at 0."""
        self._vlm, self._steps, self._gradient_of = vlm, 0, gradient_of
        self._waiting = {part: _learning_parameters(vlm, part) for part in parts}

    def check(self) -> None:
        """Call behind each step's backward pass. Raises ConfigError after PATIENCE steps."""
        if not self._waiting:
            return
        self._steps += 1
        without = {part for part, found in self._waiting.items() if not self._reached(found)}
        # of a sharded part a process may hold nothing: one with a gradient is enough
        everywhere = set.intersection(*gather_object([without]))
        still = {part: self._waiting[part] for part in sorted(everywhere)}
        self._waiting = still
        if still and self._steps >= PATIENCE:
            raise ConfigError(
                f"no gradient reaches the {' and the '.join(still)} in {self._steps} steps",
                expected="a gradient norm above 0 in every part that learns",
                where="trainable",
                fix="Freeze it, or train on records and objectives that depend on it.",
            )

    def _reached(self, weights: Iterable[nn.Parameter]) -> bool:
        """Whether any of them has a gradient above 0."""
        return any(g is not None and bool(g.any()) for g in map(self._gradient_of, weights))

    def close(self) -> None:
        """Warn of what a run shorter than PATIENCE steps never reached."""
        for part in self._waiting if self._steps else ():
            log.warning("no gradient reached the %s in %d steps", part, self._steps)


def _learning_parameters(vlm: nn.Module, part: str) -> list[nn.Parameter]:
    return [p for p in getattr(vlm, part).parameters() if p.requires_grad]
