"""Writing a result whole or not at all."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from diglot.core.errors import ConfigError


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON. Raises ConfigError where the file cannot be written."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    _write(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_figure(path: Path, figure: Figure) -> None:
    """Write `figure` in the format of the suffix (.png, .svg, .pdf). Raises ConfigError."""
    supported = figure.canvas.get_supported_filetypes()
    kind = path.suffix.lstrip(".").lower()
    if kind not in supported:
        raise ConfigError(
            "unknown figure format", expected=".png, .svg or .pdf", got=path.suffix, where=str(path)
        )
    _write(path, lambda part: figure.savefig(part, format=kind, dpi=150))


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):  # a folder that cannot be had makes this fail as well
            part.unlink(missing_ok=True)
        raise ConfigError(f"cannot write: {error.strerror or error}", where=str(path)) from error
