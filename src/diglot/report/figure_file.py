"""Writing a matplotlib figure whole or not at all."""

from pathlib import Path

from matplotlib.figure import Figure

from diglot.core.errors import ConfigError
from diglot.files import check_writable, replace_file


def write_figure(path: Path, figure: Figure) -> None:
    """Write `figure` in the format of the suffix (.png, .svg, .pdf). Raises ConfigError."""
    supported = figure.canvas.get_supported_filetypes()
    kind = path.suffix.lstrip(".").lower()
    if kind not in supported:
        raise ConfigError(
            "unknown figure format", expected=".png, .svg or .pdf", got=path.suffix, where=str(path)
        )
    with check_writable(path), replace_file(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150)
