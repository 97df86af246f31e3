"""What may follow a row's training in a comparison: a second stage, and questions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from diglot.config.ranges import PositiveInt, Seed, check_ranges
from diglot.config.read import expand_home
from diglot.core.errors import ConfigError
from diglot.evaluate.config import TASK_SCENES, TASK_TEXTS, AskSettings
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.text_scenes.config import TextScenesConfig


@dataclass(frozen=True, kw_only=True)
class FineTuningConfig:
    """The second stage of every row (SFT), on the same conversations in the same order."""

    data: str
    """Dataset folder of the conversations."""
    config: str | list[str] = "embedded/sft"
    """Recipe of the stage, or several, later ones over earlier ones. Its model is each row's."""
    set: dict[str, Any] = field(default_factory=dict)
    """Settings over the recipes, and under what a row adds in its own `sft`: {optim.lr: 1e-4}."""
    samples: PositiveInt | None = None
    """The first so many conversations; null = all."""
    split: str = "train"
    """Which split of them."""

    def __post_init__(self) -> None:
        expand_home(self, "data")
        check_ranges(self, where="sft")

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes, in order."""
        return (self.config,) if isinstance(self.config, str) else tuple(self.config)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """The questions that every row is asked after its last stage, as `diglot evaluate` asks."""

    tasks: list[str] = field(default_factory=lambda: ["offline"])
    """Tasks and groups of `diglot evaluate`."""
    ways: list[Literal["likelihood", "generate"]] = field(default_factory=lambda: ["likelihood"])
    """How every task is asked that has no `ways` of its own in `options`. Candidates by likelihood
    cost a fraction of written answers."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings by task: {counting: {limit: 50}}."""
    data: str | None = None
    """Dataset folder whose regions name all that the scenes show; null: scenes are composed."""
    split: str = "test"
    """Of the data, or of the scenes to compose."""
    count: PositiveInt = 128
    """So many scenes are composed, or the first so many of the data are taken."""
    scene: ScenesConfig = TASK_SCENES
    """How scenes are composed."""
    kind: Literal["objects", "words", "charts"] = "objects"
    """What composed scenes show: objects, or pages of words or charts."""
    text: TextScenesConfig = TASK_TEXTS
    """How pages of words and charts are composed."""
    ask: AskSettings = field(default_factory=AskSettings)
    """How questions are put."""
    seed: Seed = 0
    """Of the questions, the scenes and the intervals."""

    def __post_init__(self) -> None:
        expand_home(self, "data")
        check_ranges(self, where="evaluate")
        if not self.tasks or not self.ways:
            empty = "ways" if self.tasks else "tasks"
            raise ConfigError("nothing would be asked", where=f"evaluate.{empty}")

    @property
    def folder(self) -> Path | None:
        """The dataset folder of the scenes; None where they are composed."""
        return Path(self.data) if self.data else None
