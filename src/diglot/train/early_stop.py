"""When the figures of a run's probes say that it is enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from diglot.config.ranges import NonNegativeFloat, PositiveInt, check_ranges


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """End a run when a figure of its probes no longer gets better."""

    figure: str
    """A figure of the probe by its key: tacs, presence_auc, caption_nll, ..."""
    better: Literal["higher", "lower"] = "higher"
    """Which side is better."""
    patience: PositiveInt = 3
    """Probes in a row without a better value that end the run."""
    least: NonNegativeFloat = 0.0
    """A value must be better by more than this to count."""

    def __post_init__(self) -> None:
        check_ranges(self, where="early_stop")

    def is_enough(self, values: Sequence[float]) -> bool:
        """Whether the last `patience` values are no better than the best before them."""
        sign = 1.0 if self.better == "higher" else -1.0
        best, since = -float("inf"), 0
        for value in values:
            if sign * value > best + self.least:
                best, since = sign * value, 0
            else:
                since += 1
        return since >= self.patience
