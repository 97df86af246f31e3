"""What `diglot synth` does once its options are read; this loads the model libraries."""

from pathlib import Path
from typing import Any

from rich.table import Table

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError
from diglot.files import write_json
from diglot.synth.config import SynthConfig
from diglot.synth.run import run_synthesis
from diglot.synth.source import open_source
from diglot.synth.sources.foreign import open_foreign


def run_synth(
    images: Path,
    source: tuple[str | None, dict[str, Any]],
    config: SynthConfig,
    *,
    out: Path,
    split: str,
    json: Path | None,
) -> None:
    """Caption, ground and segment images into a dataset that `diglot train` reads.

    `source`: the foreign format that `images` is of, or None, and its further settings.
    """
    name, options = source
    if name is None and options:
        raise ConfigError("--options belong to a format", fix="Name it with --from.")
    opened = open_foreign(images, name, options, out, split=split) if name else open_source(images)
    with show_progress() as report:
        funnel = run_synthesis(opened, out, config, split=split, report=report)
    open_console().print(_funnel_table(funnel))
    if json:
        write_json(json, funnel)


def _funnel_table(funnel: dict[str, Any]) -> Table:
    """What came out of each step, and what was lost there for which reason."""
    table = Table(title=f"{funnel['images']} images, {funnel['samples']} samples")
    for column in ("step", "images", "images/s", "left out"):
        table.add_column(column)
    for name, step in funnel["steps"].items():
        rate = f"{step['images'] / step['seconds']:.1f}" if step["seconds"] else ""
        lines = [f"{count} images: {reason}" for reason, count in step["dropped"].items()]
        lines += [f"{count} regions: {reason}" for reason, count in step["lost"].items()]
        table.add_row(name, str(step["images"]), rate, "\n".join(lines))
    return table
