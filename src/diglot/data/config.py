"""What a run reads, and what is kept of it. It imports no model library, so that help is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from diglot.config.ranges import PositiveFloat, check_ranges
from diglot.config.read import expand_home
from diglot.core.errors import ConfigError
from diglot.files import check_owner

FeatureDtype = Literal["float16", "float32"]
# By what a cache's folder is known as one, whichever verb made it.
CACHE: dict[str, Any] = {"command": "features", "known": ("*/marks.bin",)}
CACHE |= {"beside": ("*rejected.jsonl",)}


def check_cache(folder: Path, *, out: Path | None = None) -> None:
    """Raises ConfigError for a folder that holds other things than features, or will: `out`."""
    if out is not None and folder.resolve() == out.resolve():
        raise ConfigError(
            "features need a folder of their own, and this one is the output's",
            where=str(folder),
            fix=f"Give another, such as {folder / 'features'}.",
        )
    check_owner(folder, **CACHE)


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """One of several datasets that a run learns from."""

    path: str
    """Dataset folder."""
    weight: PositiveFloat = 1.0
    """Passes over it in each epoch of the run: 1 = every record once, 2 = twice, 0.5 = one half,
    and the other half in the next epoch."""
    split: str | None = None
    """Which split of it; null = the run's."""
    labels: str | None = None
    """Folder of patch labels that `diglot label` made of it."""

    def __post_init__(self) -> None:
        expand_home(self, "path", "labels")
        check_ranges(self, where=f"data, {self.path}")


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """The cache of a frozen encoder's features."""

    folder: str
    """Where it lies. Runs may share it: encoder, preprocessing and data are the key."""
    dtype: FeatureDtype = "float16"
    """How features are kept; float32 rounds nothing, at twice the size."""

    def __post_init__(self) -> None:
        expand_home(self, "folder")
