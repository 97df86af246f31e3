"""A step of synthesis of your own: pictures that show next to nothing are dropped.

Copy it, change `__call__`, and name it by its dotted path, run from the folder above; in a recipe:

    steps:
      blank: {step: examples.own_step, least_spread: 8}
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diglot.config.ranges import NonNegativeFloat
from diglot.core.types import Lineage
from diglot.synth.step import Draft, Dropped


@dataclass(frozen=True, kw_only=True)
class Config:
    """Its options."""

    least_spread: NonNegativeFloat = 8.0
    """Standard deviation of a picture's grey levels (0 to 255) below which it is dropped."""


class BlankStep:
    """Drops pictures of almost one grey level; the others pass as they are."""

    def __init__(self, config: Config) -> None:
        self._least = config.least_spread
        # noted in every sample that comes out
        self.lineage = Lineage(step="blank", revision=f"least spread {config.least_spread}")

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """One draft or drop for each draft, in order: nothing may vanish."""
        for draft in drafts:
            spread = float(np.asarray(draft.picture.convert("L"), np.float64).std())
            if spread >= self._least:
                yield draft
            else:
                reason, detail = "the picture is blank", f"spread {spread:.1f}"
                yield Dropped(id=draft.sample.id, reason=reason, detail=detail)


def build(config: Config) -> BlankStep:
    """What diglot calls."""
    return BlankStep(config)
