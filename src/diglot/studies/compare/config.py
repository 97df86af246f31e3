"""What a comparison is: rows of recipes on the same data, sizes, seeds and measures."""

from dataclasses import dataclass, field
from typing import Any

from diglot.config.ranges import PositiveInt, Seed
from diglot.config.read import expand_home
from diglot.core.errors import ConfigError
from diglot.measure.config import MeasureConfig
from diglot.studies.compare.chain_config import EvaluationConfig, FineTuningConfig


def cheap_measures() -> MeasureConfig:
    """Region matching, naming, localisation and caption loss; the dear ones are left out."""
    return MeasureConfig(measures={"regions": {}, "localisation": {}, "caption_nll": {}})


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """A study: every row is trained with every number of samples and every seed, and measured."""

    data: str
    """Dataset folder."""
    out: str
    """Folder of the study."""
    rows: dict[str, Any] = field(default_factory=dict)
    """Label of a row: a recipe's name, a list of recipes, or {config: [...], set: {field: value}}.
    Later recipes lie over earlier ones; null leaves out a row that a --config below has. With
    `sft: {field: value}` the row adds to the second stage; `pretrain: false` leaves the first stage
    out, so that the row begins with an untrained projector, once for all sizes."""
    only: list[str] = field(default_factory=list)
    """Of `rows` these labels alone; empty = all."""
    set: dict[str, Any] = field(default_factory=dict)
    """Settings over the recipes of every row, and under the row's own: {optim.lr: 1e-3, ...}."""
    title: str = "Comparison of recipes"
    """Heading of the page."""
    about: str = ""
    """What is compared and where it comes from, for the page."""
    samples: list[int] = field(default_factory=list)
    """Numbers of training samples: the first so many of the data. Empty = all of them."""
    seeds: list[Seed] = field(default_factory=lambda: [0])
    """Every row is trained once with each."""
    split: str = "train"
    """Split to train on."""
    held_out: str = "test"
    """Split to measure on."""
    measure: MeasureConfig = field(default_factory=cheap_measures)
    """Which measures, each with its settings, and what all of them share. With `sft` they are
    taken before and after it."""
    sft: FineTuningConfig | None = None
    """A second stage that follows on every row's first; null: none."""
    evaluate: EvaluationConfig | None = None
    """Questions that every row is asked after its last stage; null: none."""
    features: str | None = None
    """Folder of the features that rows with the same frozen encoder share; null: in `out`."""
    jobs: PositiveInt | None = None
    """How many trainings side by side; null: one a GPU, or one for every four processor cores."""
    baseline: str | None = None
    """The row that the others are held against; null, or left out by `only`: the first."""

    def __post_init__(self) -> None:
        expand_home(self, "data", "out", "features")
        for name, least in (("samples", 1), ("seeds", 0)):
            values = getattr(self, name)
            if any(value < least for value in values) or len({*values}) < len(values):
                expected = f"numbers of at least {least}, none of them twice"
                raise ConfigError("cannot be used", expected=expected, got=values, where=name)
        if not self.seeds:
            raise ConfigError("no seed", where="seeds")
        if self.split == self.held_out:
            raise ConfigError("the split that is trained on", got=self.held_out, where="held_out")
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError("must be at least 1", got=self.jobs, where="jobs")
