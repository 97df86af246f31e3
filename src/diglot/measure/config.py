"""What the measures of alignment run on, and how: every choice that changes a figure."""

from dataclasses import dataclass, field

from diglot.core.errors import ConfigError
from diglot.metrics.name_score import Length
from diglot.models.prompt import Frame


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """How many held-out scenes each measure takes (the first ones of the list), and its prompts.

    The defaults cost about 18,000 tokens on scenes of 4 objects and 49 visual tokens: under 50 s
    for a 135M-parameter LLM on two CPU cores. 0 scenes leaves a measure without a value.
    """

    region_scenes: int = 96  # matching and naming, object tokens alone
    unseen_prompt_scenes: int = 20  # the same two with the whole image and an unseen prompt
    presence_scenes: int = 64
    localisation_scenes: int = 96
    threshold_scenes: int = 96  # TRAINING scenes the IoU threshold is chosen on
    caption_scenes: int = 48

    frame: Frame = field(default_factory=Frame)  # as the caption objective's, so the NLL compares
    # Before and after the object's tokens; the candidate names follow.
    unseen_prompt: tuple[str, str] = ("Here is one part of the picture:", " It shows a")
    presence_prompt: str = "Somewhere in this picture you can see a"
    length: Length = "calibrated"  # how names are compared in naming; see metrics/name_score

    bootstrap_draws: int = 1000
    row_tokens: int = 128  # documents share rows of this length; short rows keep attention cheap
    batch_tokens: int = 1024  # tokens per forward

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_scenes") and value < 0:
                raise ConfigError("must be at least 0", got=value, where=f"measure.{name}")
            if name in ("bootstrap_draws", "row_tokens", "batch_tokens") and value < 1:
                raise ConfigError("must be at least 1", got=value, where=f"measure.{name}")
