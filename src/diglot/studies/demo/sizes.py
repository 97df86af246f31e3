"""How large the demo is: the sizes it comes in, and what each run of it is."""

from dataclasses import dataclass, replace
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.data.config import FeaturesConfig
from diglot.measure.config import MeasureConfig
from diglot.models.config import EncoderPart, ProjectorPart, VLMConfig
from diglot.train.config import ObjectivePart, OptimConfig, StageConfig

RUNS = ("caption", "code_switch")
# As embedded/code_switch_tower: what AyaVision holds as it is.
TOWER = {"path": "embedded_tower", "image_px": 448, "layer": -1}
PROJECTOR = {"hidden": 1024, "activation": "quick_gelu", "unshuffle": 2, "input_norm": True}


@dataclass(frozen=True, kw_only=True)
class DemoSize:
    """Scenes and steps of one size of the demo."""

    train_scenes: int
    test_scenes: int
    probe_every: int  # optimizer steps
    probe_samples: int
    examples: int  # scenes shown in the report
    measure: MeasureConfig


SIZES = {
    "full": DemoSize(
        train_scenes=256,
        test_scenes=96,
        probe_every=16,
        probe_samples=8,
        examples=4,
        measure=MeasureConfig(),
    ),
    "tiny": DemoSize(
        train_scenes=16,
        test_scenes=8,
        probe_every=2,
        probe_samples=2,
        examples=2,
        measure=MeasureConfig(
            measures={
                "regions": {"scenes": 8},
                "regions_unseen_prompt": {"scenes": 2},
                "presence": {"scenes": 4},
                "localisation": {"scenes": 8, "training_scenes": 8},
                "caption_nll": {"scenes": 6},
            },
            bootstrap_draws=200,
        ),
    ),
}


def demo_size(name: str) -> DemoSize:
    """The size of that name. Raises ConfigError for an unknown one."""
    if name not in SIZES:
        raise ConfigError("no such size", expected=" or ".join(SIZES), got=name, where="--size")
    return SIZES[name]


def demo_stage(run: str, size: DemoSize, out: Path, *, seed: int) -> StageConfig:
    """The settings of one run; the runs differ in their objective alone."""
    base = StageConfig(
        data=str(out / "scenes"),
        out=str(out / run),
        model=VLMConfig(
            encoder=EncoderPart("siglip", TOWER),
            projector=ProjectorPart("mlp", PROJECTOR),
        ),
        optim=OptimConfig(lr=1e-3, warmup=0.05, clip=1.0),
        global_batch=4,
        micro_batch=4,
        seed=seed,
        features=FeaturesConfig(folder=str(out / "features")),
        checkpoint_every=16,
        probe_every=size.probe_every,
        probe_samples=size.probe_samples,
        probe_share=1.0,  # its page shows every probe
    )
    return replace(base, objective=ObjectivePart(run))
