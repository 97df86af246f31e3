"""What `diglot train` does once its settings are read; this loads torch and the model libraries."""

import json as json_text
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from rich.table import Table

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.core.distributed import warn_of_single_process
from diglot.core.run_files import METRICS, read_metrics
from diglot.files import replace_text
from diglot.measure.probe import Probe, probe_on
from diglot.models.config import Frame
from diglot.train.config import StageConfig, resolve_stage
from diglot.train.loop import train
from diglot.train.summary import summarise_stage

log = logging.getLogger(__name__)


def run_train(config: StageConfig, json: Path | None) -> None:
    """Train the stage with progress on stderr, and show its first and last losses."""
    warn_of_single_process()
    config = resolve_stage(config)
    with show_progress() as report:
        checkpoint = train(config, probe=_make_run_probe(config), report=report)
    if PartialState().is_main_process:
        _show_losses(checkpoint, json)


def show_summary(config: StageConfig, json: Path | None) -> None:
    """Show what the stage would do, and write it to `json` too."""
    warn_of_single_process()
    summary = summarise_stage(config)
    table = Table(show_header=False)
    for name, value in summary.items():
        table.add_row(name, _in_words(value))
    open_console(file=sys.stdout).print(table)
    if json:
        replace_text(json, json_text.dumps(summary, indent=2) + "\n")


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_in_words(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int | float) else str(value or "none")


def _make_run_probe(config: StageConfig) -> Probe | None:
    """The probe that the run asks for, its captions framed as in training."""
    if not config.probe_every:
        return None
    frame = config.objective.as_dict().get("frame")
    first = config.sources[0].path
    if (count := len(config.sources)) > 1:
        log.info("probes are taken from %s alone, the first of %d datasets", first, count)
    return probe_on(
        Path(first),
        config.probe_split,
        config.probe_samples,
        frame=Frame(**frame) if frame else None,
        measures=config.probe_measures,
    )


def _show_losses(checkpoint: Path, json: Path | None) -> None:
    lines = [line for line in read_metrics(checkpoint.parent / METRICS) if "loss" in line]
    table = Table()
    for column in ("", "first step", "last step"):
        table.add_column(column)
    losses: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(k for line in lines for k in line if k.startswith("loss")):
        values = [line[name] for line in lines if name in line]
        losses[name] = {"first": values[0], "last": values[-1]}
        table.add_row(name, f"{values[0]:.3f}", f"{values[-1]:.3f}")
    console = open_console(file=sys.stdout, highlight=False)
    console.print(table)
    console.print(f"checkpoint  {checkpoint}", soft_wrap=True)
    if json:
        replace_text(json, json_text.dumps(losses, indent=2) + "\n")
