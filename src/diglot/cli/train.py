"""`diglot train`: one training stage by a recipe."""

import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.progress import bars
from diglot.cli.recipe import settle
from diglot.measure.probe import probe_on
from diglot.train.config import StageConfig
from diglot.train.loop import Progress
from diglot.train.loop import train as run_stage
from diglot.train.trackers import read_metrics


def train(**settings: Any) -> None:
    """Train one stage: align a projector by an objective, or fine-tune with it.

    Settings come from YAML recipes (--config, again and again: later ones lie over earlier ones)
    and from options, which lie over the recipes. A part (--objective, --model.encoder,
    --model.projector) is chosen by its name; --objective.entity_weight 0 sets a field of it.
    --print_config shows the settings and stops.

    A killed run goes on where it was when the same command is given again. On several GPUs:
    accelerate launch -m diglot train ...

    Examples:
        diglot scenes data/scenes --count 512
        diglot train --config embedded/code_switch --data data/scenes --out runs/mmcs
        diglot train --config embedded/code_switch --data data/scenes --out runs/no_entity \\
            --objective.entity_weight 0 --optim.lr 5e-4
        tensorboard --logdir runs
    """
    config = StageConfig(**settings)
    with bars() as tell:

        def report(progress: Progress) -> None:
            note = "" if progress.loss is None else f"loss {progress.loss:.3f}"
            tell(progress.stage, progress.done, progress.total, note)

        probe = None
        if config.probe_every:
            probe = probe_on(Path(config.data), config.probe_split, config.probe_samples)
        checkpoint = run_stage(config, probe=probe, report=report)
    if PartialState().is_main_process:
        _tell_result(checkpoint)


def add_arguments(parser: ArgumentParser) -> None:
    """--config, and every field of StageConfig as an option."""
    parser.add_argument("--config", action="config", help="a YAML recipe; may repeat")
    parser.add_class_arguments(StageConfig, as_group=False)


def rewrite(args: list[str]) -> list[str]:
    """Recipes and part fields merged into one --config. Raises ConfigError for a bad recipe."""
    return settle(args)


def _tell_result(checkpoint: Path) -> None:
    lines = [line for line in read_metrics(checkpoint.parent / "metrics.jsonl") if "loss" in line]
    table = Table()
    for column in ("", "first step", "last step"):
        table.add_column(column)
    for name in dict.fromkeys(k for line in lines for k in line if k.startswith("loss")):
        values = [line[name] for line in lines if name in line]
        table.add_row(name, f"{values[0]:.3f}", f"{values[-1]:.3f}")
    console = Console(file=sys.stdout)
    console.print(table)
    console.print(f"checkpoint  {checkpoint}", soft_wrap=True)
