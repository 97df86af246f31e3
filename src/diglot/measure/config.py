"""What the measures of alignment run on: which ones, and what they share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from diglot.config.parts import load_part, part_config, split_part
from diglot.core.errors import ConfigError
from diglot.models.config import Frame

PARTS = "diglot.measure.parts"
STANDARD = ("regions", "regions_unseen_prompt", "presence", "localisation", "caption_nll")


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """Which measures, each with its own settings, and what all of them share."""

    measures: dict[str, Any] = field(default_factory=lambda: {name: {} for name in STANDARD})
    """A measure's name and its settings: {regions: {scenes: 96}, caption_nll: {}}. A measure is a
    file of `diglot/measure/parts`, or a dotted path of your own; the same one twice, with other
    settings, is written {mine: {name: regions, scenes: 8}}. null leaves one out."""
    frame: Frame = field(default_factory=Frame)
    """The text around image and caption, as the caption objective's, so that its loss compares."""
    bootstrap_draws: int = 1000
    """Images are drawn again so many times for an interval."""
    row_tokens: int = 128
    """Documents share rows of this length; short rows keep attention cheap. No figure changes."""
    batch_tokens: int = 1024
    """Tokens of one forward pass. No figure changes."""

    def __post_init__(self) -> None:
        for name in ("bootstrap_draws", "row_tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    "must be at least 1", got=getattr(self, name), where=f"measure.{name}"
                )


def measure_parts(config: MeasureConfig) -> dict[str, tuple[str, Any]]:
    """The chosen measures: label -> (name of the part, its Config), in order.

    Raises ConfigError for an unknown measure or wrong settings.
    """
    parts: dict[str, tuple[str, Any]] = {}
    for label, settings in config.measures.items():
        if settings is None:
            continue
        where = f"measures.{label}"
        if not isinstance(settings, Mapping):
            raise ConfigError("not settings", expected="field: value", got=settings, where=where)
        name, own = split_part({"name": label, **settings}, where=where)
        parts[label] = name, part_config(load_part(PARTS, name), own, where=where)
    return parts


def resolve_measures(config: MeasureConfig) -> MeasureConfig:
    """The same measures with all their settings spelled out. Raises as `measure_parts` does."""
    spelled = {
        label: {"name": name, **asdict(part)}
        for label, (name, part) in measure_parts(config).items()
    }
    return replace(config, measures=spelled)


def training_scenes(config: MeasureConfig) -> int:
    """How many training scenes the chosen measures want: the most that a part's Config says."""
    wanted = (getattr(part, "training_scenes", 0) for _, part in measure_parts(config).values())
    return max(wanted, default=0)


def feature_scenes(config: MeasureConfig) -> int:
    """How many held-out scenes keep the encoder's features: the most that a part's Config says."""
    parts = [part for _, part in measure_parts(config).values()]
    return max((getattr(part, "feature_scenes", 0) for part in parts), default=0)


def check_scenes(*counts: int) -> None:
    """Raises ConfigError for a negative number of scenes."""
    for count in counts:
        if count < 0:
            raise ConfigError("must be at least 0", got=count, where="scenes")
