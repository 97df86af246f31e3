"""How an evaluation asks, and which tasks there are; importing it loads no model library."""

from dataclasses import dataclass, field

from diglot.config.parts import Part
from diglot.config.ranges import PositiveInt
from diglot.core.errors import ConfigError
from diglot.models.config import Frame
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.text_scenes.config import TextScenesConfig

# Scenes on which every offline task finds something to ask.
TASK_SCENES = ScenesConfig(
    objects=(3, 5),
    object_px=(84, 150),
    repeat_probability=0.4,
    size_probability=0.3,
    colour_probability=0.6,
)


# Pages and charts whose captions name all that is there, and state the values.
TASK_TEXTS = TextScenesConfig(mentions=(99, 99), values=True)


class TaskPart(Part):
    """An evaluation task: a file of evaluate/tasks, or a module of the user's."""

    package = "diglot.evaluate.tasks"
    where = "tasks"


@dataclass(frozen=True, kw_only=True)
class AskSettings:
    """How all tasks are asked."""

    template: bool = True
    """Ask through the chat template; else as text behind picture and frame, as a caption stands,
    for checkpoints that have not learned to answer."""
    frame: Frame = field(default_factory=Frame)
    """The text around picture and caption: for captions, and for questions without a template."""
    batch: int = 8
    """Written answers that are made at once. No score changes."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError("must be at least 1", got=self.batch, where="batch")


@dataclass(frozen=True, kw_only=True)
class LmmsSettings:
    """How lmms-eval is run."""

    python: str = "python"
    """The Python of an environment that has lmms_eval (and decord)."""
    device: str = "cpu"
    """cpu, cuda or cuda:0."""
    dtype: str = "float32"
    """Of the weights: float32, bfloat16 or float16."""
    batch_size: PositiveInt = 1
    """Questions at once."""
    limit: PositiveInt | None = None
    """Only the first so many questions of every task, for a trial."""
    model: str | None = None
    """lmms-eval's model class; chosen by the checkpoint's family where left out."""
    grader_url: str | None = None
    """An OpenAI-compatible endpoint for tasks that need a grader; its key is in OPENAI_API_KEY."""
    grader_model: str | None = None
    """The grader's model name."""
    args: list[str] = field(default_factory=list)
    """Further arguments of `python -m lmms_eval`."""
