"""The configuration of what is kept of the data. It imports no library, so that help is fast."""

from dataclasses import dataclass
from typing import Literal

from diglot.config.read import expand_home

FeatureDtype = Literal["float16", "float32"]


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """The cache of a frozen encoder's features."""

    folder: str
    """Where it lies. Runs may share it: encoder, preprocessing and data are the key."""
    dtype: FeatureDtype = "float16"
    """How features are kept; float32 rounds nothing, at twice the size."""

    def __post_init__(self) -> None:
        expand_home(self, "folder")
