"""`diglot report`: one page that compares any number of measured checkpoints."""

import shlex
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from diglot.config.paths import InPath, OutFolder, OutPage
from diglot.files import claim_folder
from diglot.report.numbers import write_numbers
from diglot.report.page import write_report
from diglot.report.results import MeasureFile, join_results, read_result
from diglot.report.schema import read_report


def add_arguments(parser: ArgumentParser) -> None:
    """Any number of results, then the options."""
    parser.add_argument(
        "results", nargs="+", type=InPath, help="Files of `diglot measure`, or run folders."
    )
    parser.add_function_arguments(report, as_group=False, skip={"results"})


def report(
    results: list[InPath],
    *,
    out: OutPage,
    title: str = "Alignment of checkpoints",
    files: OutFolder | None = None,
) -> None:
    """Make one HTML page, which needs no network, of results of `diglot measure`.

    Tables with intervals; curves by layer and while training; entropy; tokens among words; and of
    the same pictures under every checkpoint true and predicted masks, nearest words, matching
    pursuit by step and attention by layer, with sliders, a chooser of pictures, and the words of
    the token pointed at.

    Examples:
        diglot report caption.json code_switch.json --out alignment.html

        diglot report caption.json code_switch.json --out alignment.html --files figures

        diglot report runs/caption runs/code_switch --out training.html

    Args:
        results: Files of `diglot measure`, one or more; or run folders of `diglot train`, whose
            losses and probes by step are shown.
        out: The page to write.
        title: Heading of the page.
        files: A folder for every figure as SVG and PNG, and all numbers as JSON and CSV.
    """
    if files is not None:
        claim_folder(files, "report --files")
    command = shlex.join(["diglot", "report", *(str(path) for path in results), "--out", str(out)])
    records = [_read_record(path) for path in results]
    data = join_results(records, title=title, command=command)
    print(write_report(data, out))
    if files is not None:
        print(f"{files}: {_write_files(data, files)} files")


def _read_record(path: Path) -> MeasureFile:
    """The record in a file, or what a run folder holds."""
    if not path.is_dir():
        return read_result(path)
    from diglot.studies.measured import training_record  # torch is slow to load: not for --help

    return MeasureFile.model_validate(training_record(path))


def _write_files(data: dict[str, Any], folder: Path) -> int:
    from diglot.report.static import write_static  # matplotlib is slow to load: not for --help

    report = read_report(data)
    return len(write_numbers(report, data, folder) + write_static(report, folder))
