"""Writing a matplotlib figure whole or not at all."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from diglot.core.errors import ConfigError
from diglot.files import check_writable, replace_file


def write_figure(path: Path, figure: Figure) -> None:
    """Write `figure` in the format of the suffix (.png, .svg, .pdf). Raises ConfigError.

    The same figure makes the same file: no date in it, and no names drawn by chance.
    """
    supported = figure.canvas.get_supported_filetypes()
    kind = path.suffix.lstrip(".").lower()
    if kind not in supported:
        raise ConfigError(
            "unknown figure format", expected=".png, .svg or .pdf", got=path.suffix, where=str(path)
        )
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with (
        check_writable(path),
        replace_file(path) as temporary,
        rc_context({"svg.hashsalt": "diglot"}),
    ):
        figure.savefig(temporary, format=kind, dpi=150, metadata=dated)
