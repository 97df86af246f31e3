"""How much of everything a study of encoders makes."""

from dataclasses import asdict, dataclass

from diglot.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class StudySizes:
    """How much of everything."""

    scenes: int = 256
    """To train on."""
    held_out: int = 96
    """To measure on."""
    images: int = 100
    """Scenes that A is taken on."""
    pairs: int = 160
    """Pairs of scenes that C is taken on."""

    def __post_init__(self) -> None:
        for name, size in asdict(self).items():
            if size < 1:
                raise ConfigError("must be at least 1", got=size, where=f"size.{name}")
