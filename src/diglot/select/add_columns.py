"""Results added to a table of settings as columns, which `diglot select fit` and `plan` read."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from diglot.files import check_writable, csv_cell, lock_file, replace_text
from diglot.select.table import NAME_COLUMN, ScoreTable, read_table


def add_columns(path: Path, results: Mapping[str, Mapping[str, float]]) -> None:
    """Put results by setting and column into a CSV file, whole or not at all.

    Other cells stay; a setting or column that is not there is added, empty elsewhere. Several
    processes may write, one after the other. Raises DataError for a file that is no such table,
    ConfigError where it cannot be written.
    """
    with check_writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_file(path.with_name(f".{path.name}.lock"), wait=True):
            empty = ScoreTable(settings=(), cells={})
            table = read_table(path) if path.exists() else empty
            replace_text(path, _as_csv(table, results))


def _as_csv(table: ScoreTable, results: Mapping[str, Mapping[str, float]]) -> str:
    new = [column for of_setting in results.values() for column in of_setting]
    columns = list(dict.fromkeys([*table.cells, *new]))
    settings = list(dict.fromkeys([*table.settings, *results]))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in (NAME_COLUMN, *columns)])
    for setting in settings:
        row = table.settings.index(setting) if setting in table.settings else None
        given = results.get(setting, {})
        kept = [
            table.cells[c][row] if c in table.cells and row is not None else "" for c in columns
        ]
        cells = [given.get(column, cell) for column, cell in zip(columns, kept, strict=True)]
        writer.writerow([csv_cell(cell) for cell in (setting, *cells)])
    return stream.getvalue()


def _row_of(table: ScoreTable, setting: str) -> dict[str, str]:
    """The cells of a setting by column; empty where it is not there."""
    if setting not in table.settings:
        return {}
    at = table.settings.index(setting)
    return {column: cells[at] for column, cells in table.cells.items()}
