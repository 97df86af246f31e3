"""diglot's own training run, as `diglot train` makes it: from the dataset on, its logs written."""

import tempfile
from pathlib import Path

from benchmarks.peers.gate import Gate
from benchmarks.peers.stage import Stage
from diglot.core.progress import Progress
from diglot.core.run_files import read_metrics
from diglot.models.vlm import build_vlm
from diglot.train.loop import train


def run(stage: Stage, gate: Gate) -> None:
    """Train the stage, a step a turn."""
    with tempfile.TemporaryDirectory() as folder:
        config = stage.config(f"{folder}/run")
        gate.before_model()
        vlm = build_vlm(config.model, seed=config.seed)

        def report(progress: Progress) -> None:
            if progress.stage == "train":
                gate.after_step(read_metrics(Path(config.out) / "metrics.jsonl")[-1]["loss"])

        gate.before_steps()
        train(config, vlm=vlm, report=report)
