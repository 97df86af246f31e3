"""When a run probes itself, what that may cost, and when its figures say that it is enough.

A probe costs forward passes that teach nothing. The first and the last are always made; one that is
due between them is left out where all probes together would take more than their share of the run's
time. What was spent, and the figures so far, are read from metrics.jsonl, so that a run that was
killed continues as it would have.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from diglot.core.errors import ConfigError
from diglot.core.run_files import read_metrics
from diglot.train.early_stop import EarlyStop

log = logging.getLogger(__name__)

PREFIX = "probe/"
SECONDS = f"{PREFIX}seconds"
Figures = dict[str, float]


@dataclass
class Probing:
    """When a run measures itself: every so many steps, within a share of its time."""

    probe: Callable[[], Mapping[str, float]] | None  # on the run's model
    every: int  # steps; 0 = never
    steps: int
    share: float  # of the run's time that probes may take
    early_stop: EarlyStop | None
    accelerator: Accelerator
    spent_s: float = 0.0
    trained_s: float = 0.0
    last_s: float | None = None  # of the last probe
    left_out: int = 0
    values: list[float] = field(default_factory=list)  # of the figure that may end the run

    def __post_init__(self) -> None:
        if self.early_stop and not (self.probe and self.every):
            raise ConfigError(
                "nothing is probed, so no figure can end the run",
                where="early_stop",
                fix="Set probe_every.",
            )

    def resume(self, metrics: Path) -> None:
        """Take up what an earlier process spent and found."""
        for line in read_metrics(metrics):
            self._count(line)

    def after_step(self, step: int, seconds: float) -> Figures | None:
        """The figures after `step` steps, the last of which took so long; None without a probe."""
        self.trained_s += seconds
        if not self.probe or not self.every or not (step % self.every == 0 or step == self.steps):
            return None
        if not self._may_spend(last=step == self.steps):
            self.left_out += 1
            return None
        began = time.perf_counter()
        found = dict(self.probe())
        figures = {f"{PREFIX}{name}": value for name, value in found.items()}
        figures[SECONDS] = round(time.perf_counter() - began, 3)
        self._check_figure(found)
        self._count(figures)
        return figures

    @property
    def is_enough(self) -> bool:
        """Whether the run is to end now."""
        return self.early_stop is not None and self.early_stop.is_enough(self.values)

    def log_cost(self) -> None:
        """What the probes took, and how many were left out."""
        if self.last_s is None:
            return
        whole = max(self.spent_s + self.trained_s, 1e-9)
        log.info("probes took %.1f s, %.1f%% of the run", self.spent_s, 100 * self.spent_s / whole)
        if self.left_out:
            log.warning(
                "%d probes that were due were left out: more would have taken over %g%% of the "
                "run (probe_share)",
                self.left_out,
                100 * self.share,
            )

    def _may_spend(self, *, last: bool) -> bool:
        """Whether one more probe is within the share; one process decides for all."""
        if last or self.last_s is None:
            return True
        spent = self.spent_s + self.last_s
        answer = [spent <= self.share * (spent + self.trained_s)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(answer)
        return answer[0]

    def _count(self, line: Mapping[str, Any]) -> None:
        self.trained_s += line.get("seconds", 0.0)
        if SECONDS in line:
            self.last_s = line[SECONDS]
            self.spent_s += line[SECONDS]
        key = f"{PREFIX}{self.early_stop.figure}" if self.early_stop else ""
        if key in line:
            self.values.append(line[key])

    def _check_figure(self, found: Mapping[str, float]) -> None:
        if self.early_stop and self.early_stop.figure not in found:
            raise ConfigError(
                "the probe gives no such figure",
                expected="one of " + ", ".join(found),
                got=self.early_stop.figure,
                where="early_stop.figure",
                fix="Choose its measure under probe_measures.",
            )
