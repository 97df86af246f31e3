"""The terminal as the verbs print to it: text is text, whatever brackets or colons a name has."""

from typing import Any

from rich.console import Console
from rich.text import Text


def open_console(**options: Any) -> Console:
    """rich's Console that reads no markup and no emoji codes in what is printed, tables included.

    A style is given apart, by a `Text`. `options` are those of rich.
    """
    return Console(markup=False, emoji=False, **options)


def print_warning(console: Console, message: str) -> None:
    """One message with "warning:" before it."""
    console.print(Text.assemble(("warning:", "yellow"), f" {message}"))
