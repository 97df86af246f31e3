"""Writing a matplotlib figure whole or not at all."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from diglot.core.errors import ConfigError
from diglot.files import check_writable, replace_file
from diglot.report.plain_text import escape_unshown

log = logging.getLogger(__name__)


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
    _escape_texts(figure)
    with (
        check_writable(path),
        replace_file(path) as temporary,
        rc_context({"svg.hashsalt": "diglot"}),
        _noting_glyphs(path),
    ):
        figure.savefig(temporary, format=kind, dpi=150, metadata=dated)


def _escape_texts(figure: Figure) -> None:
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(escape_unshown(text.get_text()))


@contextlib.contextmanager
def _noting_glyphs(path: Path) -> Iterator[None]:
    """One line for all characters that the font lacks, in place of a warning for each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = {str(w.message) for w in caught if "missing from font" in str(w.message)}
    if lacking:
        log.info("%s: the font lacks %d characters, drawn as boxes", path, len(lacking))
    for other in (w for w in caught if str(w.message) not in lacking):
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
