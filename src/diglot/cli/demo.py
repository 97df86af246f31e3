"""`diglot demo`: from real images to two aligned projectors and a report."""

from pathlib import Path
from typing import Literal

from diglot.config.paths import OutFolder, OutJson
from diglot.config.ranges import Seed


def demo(
    *,
    size: Literal["full", "tiny"] = "full",
    study: Literal["objectives", "projectors"] = "objectives",
    out: OutFolder = Path("runs/demo"),
    seed: Seed = 0,
    json: OutJson | None = None,
) -> None:
    """Train one projector by image caption and one by code-switching, and compare what they see.

    Composes scenes of known objects, trains both from the same start on the same scenes, measures
    both on held-out scenes, and writes report.html and results.json. The code-switched model goes
    into `export`, which stock transformers loads. A demo that was stopped resumes when the same
    command is given again.

    Examples:
        diglot demo
        diglot demo --size tiny --out runs/tiny
        diglot demo --study projectors --out runs/projectors

    Args:
        size: full takes six to twelve minutes on two CPU cores, tiny less than one.
        study: objectives compares caption with code-switching by measures; projectors shows the
            same pictures under a projector before training, trained by caption, and patch-aligned:
            true and predicted masks, nearest words, matching pursuit, attention, entropy.
        out: Folder for everything the demo makes.
        seed: Seed of scenes, start and order.
        json: Write the results to this file too.
    """
    from diglot.cli.demo_run import run_demo  # slow to load: not for --help

    run_demo(size, study, out, seed, json)
