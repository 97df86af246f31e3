"""Results of an evaluation as lines of CSV, one for each metric and checkpoint."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diglot.files import check_writable, csv_cell, replace_text

COLUMNS = ("key", "title", "unit", "checkpoint", "value", "low", "high", "n", "chance")


def write_csv(path: Path, measures: Sequence[Mapping[str, Any]]) -> None:
    """Write every metric of every checkpoint, whole or not at all. Raises ConfigError."""
    lines = [
        [
            *(measure[name] for name in ("key", "title", "unit")),
            checkpoint,
            *(result[name] for name in ("value", "low", "high", "n")),
            measure["chance"],
        ]
        for measure in measures
        for checkpoint, result in measure["results"].items()
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([COLUMNS, *([csv_cell(cell) for cell in line] for line in lines)])
    with check_writable(path):
        replace_text(path, stream.getvalue())
