"""`diglot train`: one training stage by a recipe."""

import json as json_text
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.options import read_settings
from diglot.cli.progress import show_progress
from diglot.config.part_help import add_part_help
from diglot.files import replace_text
from diglot.measure.probe import Probe, probe_on
from diglot.models.config import EncoderPart, ProjectorPart
from diglot.models.prompt import Frame
from diglot.train.config import (
    PARTS,
    MixedPart,
    ObjectivePart,
    StageConfig,
    check_sections,
    merge_stage,
    resolve_stage,
)
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
    json: Path | None = settings.pop("json")
    config = resolve_stage(StageConfig(**settings))
    with show_progress() as report:
        checkpoint = run_stage(config, probe=_probe(config), report=report)
    if PartialState().is_main_process:
        _tell_result(checkpoint, json)


def add_arguments(parser: ArgumentParser) -> None:
    """--config, and every field of StageConfig as an option."""
    parser.add_argument("--config", help="a YAML recipe; may repeat, later ones lie over earlier")
    parser.add_argument("--print_config", action="store_true", help="show the settings and stop")
    parser.add_class_arguments(StageConfig, as_group=False)
    parser.add_argument(
        "--json", type=Path | None, default=None, help="also write the losses to this file"
    )
    add_part_help(
        parser,
        objective=ObjectivePart,
        plus=ObjectivePart,
        mix=MixedPart,
        model__encoder=EncoderPart,
        model__projector=ProjectorPart,
    )


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The settings of recipes and options. Raises ConfigError for what is wrong in either."""
    return read_settings(
        parser,
        args,
        merge=merge_stage,
        open_under=(*PARTS, "plus", "mix"),
        check=check_sections,
    )


def _probe(config: StageConfig) -> Probe | None:
    """The probe that the run asks for, its captions framed as in training."""
    if not config.probe_every:
        return None
    frame = config.objective.as_dict().get("frame")
    return probe_on(
        Path(config.data),
        config.probe_split,
        config.probe_samples,
        frame=Frame(**frame) if frame else None,
    )


def _tell_result(checkpoint: Path, json: Path | None) -> None:
    lines = [line for line in read_metrics(checkpoint.parent / "metrics.jsonl") if "loss" in line]
    table = Table()
    for column in ("", "first step", "last step"):
        table.add_column(column)
    told: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(k for line in lines for k in line if k.startswith("loss")):
        values = [line[name] for line in lines if name in line]
        told[name] = {"first": values[0], "last": values[-1]}
        table.add_row(name, f"{values[0]:.3f}", f"{values[-1]:.3f}")
    console = Console(file=sys.stdout)
    console.print(table)
    console.print(f"checkpoint  {checkpoint}", soft_wrap=True)
    if json:
        replace_text(json, json_text.dumps(told, indent=2) + "\n")
