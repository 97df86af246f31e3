"""`diglot train`: one training stage by a recipe."""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.progress import bars
from diglot.core.errors import ConfigError
from diglot.measure.probe import probe_on
from diglot.train.config import StageConfig
from diglot.train.loop import Progress
from diglot.train.loop import train as run_stage
from diglot.train.trackers import read_metrics


def train(**settings: Any) -> None:
    """Train one stage: align a projector by an objective, or fine-tune with it.

    Settings come from YAML recipes (--config, again and again: later ones win) and from options.
    A killed run goes on where it was when the same command is given again. --print_config shows
    the settings and stops.

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
    _tell_result(checkpoint)


def add_arguments(parser: ArgumentParser) -> None:
    """--config, and every field of StageConfig as an option."""
    parser.add_argument("--config", action="config", help="a YAML recipe; may repeat")
    parser.add_class_arguments(StageConfig, as_group=False)


def rewrite(args: list[str]) -> list[str]:
    """`--config embedded/caption` names a recipe that diglot carries; a file of yours comes first.

    Raises ConfigError for a name that is neither.
    """
    out = list(args)
    for index, arg in enumerate(args):
        if arg == "--config" and index + 1 < len(args):
            out[index + 1] = _recipe(args[index + 1])
        elif arg.startswith("--config="):
            out[index] = "--config=" + _recipe(arg.removeprefix("--config="))
    return out


def _recipe(name: str) -> str:
    folder = Path(str(files("diglot.recipes")))
    carried = (folder / f"{name}.yaml").resolve()
    if Path(name).exists():
        return name
    if carried.is_relative_to(folder.resolve()) and carried.exists():
        return str(carried)
    known = sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml"))
    raise ConfigError(f"no recipe {name!r}", expected="a YAML file, or one of " + ", ".join(known))


def _tell_result(checkpoint: Path) -> None:
    lines = [line for line in read_metrics(checkpoint.parent / "metrics.jsonl") if "loss" in line]
    table = Table(title=f"Trained: {checkpoint}")
    for column in ("", "first step", "last step"):
        table.add_column(column)
    for name in [k for k in lines[-1] if k == "loss" or k.startswith("loss/")]:
        table.add_row(name, f"{lines[0][name]:.3f}", f"{lines[-1][name]:.3f}")
    Console(file=sys.stdout).print(table)
