"""`python -m diglot.cli.tower train OUT` and `... probe DATA`: a small image-text tower."""

from pathlib import Path
from typing import Any

import jsonargparse

from diglot.cli.progress import show_progress
from diglot.config.parts import build_part
from diglot.core.result import Estimate
from diglot.data.records import open_dataset
from diglot.files import write_json
from diglot.studies.tower.config import TowerTrainingConfig
from diglot.studies.tower.probe import name_objects, pool_objects, probe_linearly
from diglot.studies.tower.train import TowerTraining
from diglot.synth.patch_labels.towers import load_towers


def train(out: Path, *, tower: TowerTrainingConfig) -> None:
    """Train a SigLIP-class image tower and text tower on composed pictures, taught by EfficientNet.

    The same command resumes a training that was stopped.

    Args:
        out: Folder of the training; its checkpoint is `model` in it.
        tower: Shape, pictures and steps.
    """
    with show_progress() as report:
        folder = TowerTraining(tower, out, report).run(report)
    print(f"checkpoint  {folder}")


def probe(
    data: Path,
    *,
    encoder: dict[str, Any] | None = None,
    towers: Path | None = None,
    train_scenes: int = 512,
    test_scenes: int = 96,
    json: Path | None = None,
) -> None:
    """Name the objects of unseen scenes from an encoder's patches, by a linear probe and without.

    Args:
        data: Composed scenes with the splits train and test (`diglot scenes`).
        encoder: An encoder as in a recipe, such as '{name: efficientnet_lite0, image_px: 448}'.
        towers: In place of an encoder, a SigLIP checkpoint with both towers: it is probed, and also
            names objects by its own texts.
        train_scenes: Scenes that the probe learns from.
        test_scenes: Scenes that are named.
        json: Write the figures to this file too.
    """
    part = encoder or {"name": "siglip", "path": str(towers), "layer": "last"}
    built = build_part("diglot.models.encoders", part, where="encoder").eval()
    learned, unseen = (open_dataset(data, split) for split in ("train", "test"))
    with show_progress() as report:
        found = probe_linearly(
            pool_objects(built, learned, train_scenes, report),
            pool_objects(built, unseen, test_scenes, report),
        )
        rows = {f"linear probe, {source}": value for source, value in found.items()}
        if towers:
            named, curve = name_objects(load_towers("siglip", str(towers)), unseen, test_scenes)
            rows |= {f"own name first in its scene, {s}": v for s, v in named.items()}
            rows["patches inside above outside, by the name (AUC)"] = curve
    for name, estimate in rows.items():
        print(f"{name:52} {_describe(estimate)}")
    if json:
        write_json(json, {name: estimate.to_json() for name, estimate in rows.items()})


def _describe(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not measured"
    return f"{estimate.value:.3f} ({estimate.low:.3f}, {estimate.high:.3f}), n = {estimate.n}"


if __name__ == "__main__":
    jsonargparse.auto_cli([train, probe])
