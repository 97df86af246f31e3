"""The terminal as the verbs print to it: text is text, whatever brackets or colons a name has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text


def open_console(**options: Any) -> Console:
    """rich's Console that reads no markup and no emoji codes in what is printed, tables included.

    A style is given apart, by a `Text`. `options` are those of rich.
    """
    return Console(markup=False, emoji=False, **options)


def print_rejected(console: Console, counts: Mapping[str, int], listed: Path) -> None:
    """How many records were rejected for each reason, and the file that lists them."""
    for reason, count in counts.items():
        line = f"{count:,} records rejected, {listed}: {reason}"
        console.print(line, soft_wrap=True, highlight=False)


def print_warning(console: Console, message: str) -> None:
    """One message with "warning:" before it."""
    console.print(Text.assemble(("warning:", "yellow"), f" {message}"))
