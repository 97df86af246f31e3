"""`diglot report`: one page that compares any number of measured checkpoints."""

import shlex
from pathlib import Path

from jsonargparse import ArgumentParser

from diglot.report.page import write_report
from diglot.report.results import join_results, read_result


def add_arguments(parser: ArgumentParser) -> None:
    """Any number of results, then the options."""
    parser.add_argument("results", nargs="+", type=Path, help="Files of `diglot measure`.")
    parser.add_function_arguments(report, as_group=False, skip={"results"})


def report(
    results: list[Path],
    *,
    out: Path,
    title: str = "Alignment of checkpoints",
) -> None:
    """Make one HTML page, which needs no network, of results of `diglot measure`.

    Tables with intervals, curves by layer, and the token maps of the same pictures under every
    checkpoint.

    Example:
        diglot report caption.json code_switch.json --out alignment.html

    Args:
        results: Files of `diglot measure`, one or more.
        out: The page to write.
        title: Heading of the page.
    """
    command = shlex.join(["diglot", "report", *(str(path) for path in results), "--out", str(out)])
    records = [read_result(path) for path in results]
    print(write_report(join_results(records, title=title, command=command), out))
