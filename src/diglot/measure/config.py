"""What the measures of alignment run on, and how: every choice that changes a figure."""

from dataclasses import dataclass, field

from diglot.core.errors import ConfigError
from diglot.metrics.name_score import Length
from diglot.models.config import Frame


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """How many held-out scenes each measure takes (the first ones of the list), and its prompts.

    The defaults cost about 18,000 tokens on scenes of 4 objects and 49 visual tokens: under 50 s
    for a 135M-parameter LLM on two CPU cores. 0 scenes leaves a measure without a value.
    """

    region_scenes: int = 96
    """Scenes of matching and naming, from the object's tokens alone."""
    unseen_prompt_scenes: int = 20
    """Scenes of the same two with the whole image and a prompt that training did not have."""
    presence_scenes: int = 64
    """Scenes of presence questions."""
    localisation_scenes: int = 96
    """Scenes of localisation."""
    threshold_scenes: int = 96
    """TRAINING scenes that the IoU threshold is chosen on."""
    caption_scenes: int = 48
    """Scenes of the caption's negative log-likelihood."""
    frame: Frame = field(default_factory=Frame)
    """Text around image and caption: as the caption objective's, so that the NLL compares."""
    unseen_prompt: tuple[str, str] = ("Here is one part of the picture:", " It shows a")
    """Text before and after the object's tokens; the candidate names follow."""
    presence_prompt: str = "Somewhere in this picture you can see a"
    """Text before the name that is there or not."""
    length: Length = "calibrated"
    """How names of several tokens are compared in naming; see metrics/name_score."""
    bootstrap_draws: int = 1000
    """Draws of the intervals."""
    row_tokens: int = 128
    """Documents share rows of this length in tokens; short rows keep attention cheap."""
    batch_tokens: int = 1024
    """Tokens of one forward pass."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_scenes") and value < 0:
                raise ConfigError("must be at least 0", got=value, where=f"measure.{name}")
            if name in ("bootstrap_draws", "row_tokens", "batch_tokens") and value < 1:
                raise ConfigError("must be at least 1", got=value, where=f"measure.{name}")
