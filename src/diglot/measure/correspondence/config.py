"""What a C score is taken with: alphas, geometry, and how features are read and searched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from diglot.config.ranges import Seed, check_ranges
from diglot.core.errors import ConfigError
from diglot.data.spair import Split

Geometry = Literal["letterbox", "law_compat"]
Read = Literal["bilinear", "nearest"]
ALPHAS = (0.1, 0.05, 0.01)
WINDOW_CELLS = 5


@dataclass(frozen=True, kw_only=True)
class MatchConfig:
    """How a source point is read and a target point is found (geometry `letterbox`)."""

    read: Read = "bilinear"
    """The source feature: bilinear between cells, or that of the nearest cell."""
    upsample: int = 1
    """Search the target's features enlarged this many times, instead of its cells."""

    def __post_init__(self) -> None:
        if not 1 <= self.upsample <= 64:
            raise ConfigError(
                "out of range", expected="1 to 64", got=self.upsample, where="upsample"
            )


@dataclass(frozen=True, kw_only=True)
class CScoreConfig:
    """What is measured and how."""

    alphas: tuple[float, ...] = ALPHAS
    """A match is right within alpha times the longer side of the target's box."""
    geometry: Geometry = "letterbox"
    """letterbox = each picture padded to a square; law_compat = as the paper's code does it."""
    read: Read = "bilinear"
    """How a source keypoint's feature is read off the grid (letterbox)."""
    upsample: int = 1
    """Cells are searched on a grid so many times finer (letterbox)."""
    window: int = WINDOW_CELLS
    """Cells on each side of the best that the soft-argmax weighs (law_compat); 0 = it alone."""
    split: Split = "test"
    """Split of SPair-71k."""
    first: int | None = None
    """Use the first so many pairs; null = all."""
    seed: Seed = 0
    """Of the interval's draws."""

    def __post_init__(self) -> None:
        check_alphas(self.alphas)
        if self.first is not None and self.first < 1:
            raise ConfigError("no pairs", expected="1 or more", got=self.first, where="first")
        if self.window < 0:
            raise ConfigError("negative window", got=self.window, where="window")
        check_ranges(self)
        MatchConfig(read=self.read, upsample=self.upsample)


def check_alphas(alphas: Sequence[float]) -> tuple[float, ...]:
    """The alphas. Raises ConfigError where there is none, or one is not above 0."""
    if not alphas or not all(0 < alpha < float("inf") for alpha in alphas):
        raise ConfigError("alpha must be above 0", got=list(alphas), where="--alpha")
    return tuple(alphas)
