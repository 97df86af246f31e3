"""What the measures of alignment run on: which ones, and what they share."""

from dataclasses import dataclass, field
from typing import Any

from diglot.config.parts import Part, as_plain, known_parts
from diglot.config.recipes import merge_recipes
from diglot.core.errors import ConfigError
from diglot.models.config import Frame

STANDARD = ("regions", "regions_unseen_prompt", "presence", "localisation", "caption_nll")


class MeasurePart(Part):
    """A measure of alignment: a file of measure/parts, or a module of the user's."""

    package = "diglot.measure.parts"
    where = "measures"


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """Which measures, each with its own settings, and what all of them share."""

    measures: dict[str, Any] = field(default_factory=lambda: {name: {} for name in STANDARD})
    """A measure's name and its settings: {regions: {scenes: 96}, caption_nll: {}}. One of your own,
    or the same twice with other settings, is written {mine: {name: regions, scenes: 8}}. null
    leaves one out."""
    frame: Frame = field(default_factory=Frame)
    """The text around image and caption, as the caption objective's, so that its loss compares."""
    bootstrap_draws: int = 1000
    """Images are drawn again so many times for an interval."""
    row_tokens: int = 128
    """Documents share rows of this length; short rows keep attention cheap. No figure changes."""
    batch_tokens: int = 1024
    """Tokens of one forward pass. No figure changes."""
    memory_mb: int = 1024
    """Visual tokens and features beyond this are kept in a temporary file beside the result, and
    read image by image. No figure changes."""

    def __post_init__(self) -> None:
        self.parts  # noqa: B018  read here so that what is no part is found
        for name in ("bootstrap_draws", "row_tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    "must be at least 1", got=getattr(self, name), where=f"measure.{name}"
                )
        if self.memory_mb < 0:
            raise ConfigError("must be at least 0", got=self.memory_mb, where="measure.memory_mb")

    @property
    def parts(self) -> dict[str, MeasurePart]:
        """The chosen measures by label, in order. Raises ConfigError for what is no part."""
        return MeasurePart.read_all(self.measures, where="measures")


def every_measure() -> MeasureConfig:
    """All measures there are, with their own settings; those of a training come first."""
    known = known_parts(MeasurePart.package)
    return MeasureConfig(measures={name: {} for name in dict.fromkeys((*STANDARD, *known))})


def merge_measures(below: Any, above: Any) -> Any:
    """Settings with a `measure` merged over others."""
    return merge_recipes(below, above, parts={})


def check_measures(config: MeasureConfig) -> dict[str, MeasurePart]:
    """The chosen measures by label. Raises ConfigError for an unknown one, or wrong settings."""
    return {label: part.check() for label, part in config.parts.items()}


def resolve_measures(config: MeasureConfig) -> dict[str, Any]:
    """All settings spelled out, as JSON can hold them. Raises as `check_measures` does."""
    return {**as_plain(config), "measures": as_plain(check_measures(config))}


def training_scenes(config: MeasureConfig) -> int:
    """How many training scenes the chosen measures want: the most that a part's Config says."""
    parts = config.parts.values()
    return max((getattr(part.config, "training_scenes", 0) for part in parts), default=0)


def feature_scenes(config: MeasureConfig) -> int:
    """How many held-out scenes keep the encoder's features: the most that a part's Config says."""
    parts = config.parts.values()
    return max((getattr(part.config, "feature_scenes", 0) for part in parts), default=0)


def check_scenes(*counts: int) -> None:
    """Raises ConfigError for a negative number of scenes."""
    for count in counts:
        if count < 0:
            raise ConfigError("must be at least 0", got=count, where="scenes")
