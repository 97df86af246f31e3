"""The demo's stock folder: a short run of a shape that a stock class holds, exported and checked.

The demo's own runs merge 2 x 2 features behind a LayerNorm, which the one stock class for
EfficientNet-Lite0 (FastVlm) has no room for; so a run without them goes out beside them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.core.progress import rename_stages
from diglot.models.config import EncoderPart, ProjectorPart
from diglot.models.export.container import compare_containers, nearest_container
from diglot.models.export.design import read_design
from diglot.models.export.flow import check_folder, export_checkpoint
from diglot.models.export.folder import ORIGIN
from diglot.studies.demo.flow import Demo
from diglot.studies.demo.sizes import RUNS
from diglot.train.config import StageConfig
from diglot.train.loop import train

CONTAINER = "fast_vlm"
LOADS = "AutoModelForImageTextToText.from_pretrained"


@dataclass(frozen=True)
class StockFolder:
    """What was written, and what is known of it."""

    folder: Path
    loads: bool
    """Whether the stock class was loaded from it here and gave the checkpoint's logits."""
    check: str
    """What the check found, or why it could not be made."""
    misfit: str
    """Why the demo's own runs fit no stock class; empty where they do."""


def write_stock_folder(demo: Demo) -> StockFolder:
    """Train the short run, or take the one that is there, export it and check the folder."""
    folder = demo.out / "export"
    with demo.timed("stock export"):
        stage = stock_stage(demo)
        report = rename_stages(demo.report, lambda name: f"{name} stock")
        checkpoint = train(stage, report=report)
        if not (folder / ORIGIN).exists():
            export_checkpoint(checkpoint, CONTAINER, folder)
        loads, check = _check(folder)
    return StockFolder(folder, loads, check, explain_misfit(demo.stage(RUNS[0])))


def stock_stage(demo: Demo) -> StageConfig:
    """A quarter of the pixels, so that as many tokens remain without merging (caption_stock)."""
    stage = demo.stage("caption")
    model = replace(
        stage.model,
        encoder=EncoderPart("efficientnet_lite0", {"image_px": demo.size.image_px // 2}),
        projector=ProjectorPart("mlp", {"activation": "quick_gelu"}),
    )
    out = str(demo.out / "stock")
    scenes = demo.size.stock_scenes
    return replace(stage, model=model, out=out, max_samples=scenes, probe_every=0)


def explain_misfit(stage: StageConfig) -> str:
    """What keeps a run out of the nearest stock class; empty where one holds it."""
    misfits = compare_containers(read_design(stage.model))
    nearest = nearest_container(misfits)
    if not misfits[nearest]:
        return ""
    return f"{nearest}: {'; '.join(misfits[nearest])}"


def _check(folder: Path) -> tuple[bool, str]:
    try:
        result = check_folder(folder)
    except ConfigError as error:  # most often the class needs packages that are not here
        return False, f"not loaded here: {error}"
    if not result.passed:
        return False, "it does something else than its checkpoint"
    difference = result.largest_difference
    return True, f"{LOADS} gives the checkpoint's logits, largest difference {difference:.1e}"
