"""Writing a matplotlib figure whole or not at all."""

from pathlib import Path

from matplotlib.figure import Figure

from diglot.core.errors import ConfigError
from diglot.files import replacing, writable


def write_figure(path: Path, figure: Figure) -> None:
    """Write `figure` in the format of the suffix (.png, .svg, .pdf). Raises ConfigError."""
    supported = figure.canvas.get_supported_filetypes()
    kind = path.suffix.lstrip(".").lower()
    if kind not in supported:
        raise ConfigError(
            "unknown figure format", expected=".png, .svg or .pdf", got=path.suffix, where=str(path)
        )
    with writable(path), replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150)
