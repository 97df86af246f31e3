"""`python -m diglot.studies.tower OUT`: train the small image-text tower."""

from pathlib import Path

import jsonargparse

from diglot.cli.progress import show_progress
from diglot.studies.tower.config import PicturesConfig, TowerConfig, TowerShape
from diglot.studies.tower.train import TowerTraining


def train_tower(out: Path, *, tower: TowerConfig) -> None:
    """Train a SigLIP-class image tower and text tower on composed pictures.

    The same command goes on where a stopped training was.

    Args:
        out: Folder of the training; its checkpoint is `model` in it.
        tower: Shape, pictures and steps.
    """
    with show_progress() as report:
        folder = TowerTraining(tower, out).run(report)
    print(f"checkpoint  {folder}")


if __name__ == "__main__":
    jsonargparse.auto_cli(train_tower)
