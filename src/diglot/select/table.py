"""A table of settings (encoders under test) with their scores and results, read from CSV."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diglot.core.errors import ConfigError, DataError
from diglot.files import read_csv_cell

Floats = NDArray[np.floating]  # float64 in fact; numpy types linear algebra no closer

NAME_COLUMN = "setting"
EMPTY = frozenset({"", "-", "?", "na", "nan", "none"})  # cells that mean "not measured yet"


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """K settings by name, and the text of their columns, read as numbers when asked for."""

    settings: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]
    where: str = "table"

    def __len__(self) -> int:
        return len(self.settings)

    def column(self, name: str) -> Floats:
        """Column `name` as float64 (K,), NaN where the cell is empty.

        Raises DataError for an unknown column or a cell that is no finite number.
        """
        if name not in self.cells:
            raise DataError(
                f"no column {name!r}",
                expected="one of " + ", ".join(self.cells),
                where=self.where,
            )
        return np.array([self._read_number(name, row) for row in range(len(self))])

    def complete(self, names: Sequence[str]) -> Floats:
        """Columns `names` as float64 (K, F). Raises DataError where a value is missing."""
        if not names:
            raise DataError("no score column named", expected="at least one", where=self.where)
        columns_KF = np.stack([self.column(name) for name in names], axis=1)
        missing = np.argwhere(np.isnan(columns_KF))
        if len(missing):
            row, column = missing[0]
            raise DataError(
                f"setting {self.settings[row]!r} has no value in column {names[column]!r}",
                expected="a score for every setting",
                where=self.where,
                fix="Measure it, or drop the row.",
            )
        return columns_KF

    def only(self, keep_K: NDArray[np.bool_]) -> "ScoreTable":
        """The table of the settings where `keep_K` is true."""
        rows = np.flatnonzero(keep_K)
        return ScoreTable(
            settings=tuple(self.settings[row] for row in rows),
            cells={name: tuple(cells[row] for row in rows) for name, cells in self.cells.items()},
            where=self.where,
        )

    def _read_number(self, name: str, row: int) -> float:
        text = self.cells[name][row].strip()
        if text.lower() in EMPTY:
            return float("nan")
        try:
            value = float(text)
        except ValueError:
            value = float("inf")
        if not np.isfinite(value):
            raise DataError(
                "not a finite number",
                got=repr(text),
                where=f"{self.where}, setting {self.settings[row]!r}, column {name!r}",
            )
        return value


def column_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names of columns: a list of them, or a text with commas between.

    Raises ConfigError for one that occurs twice.
    """
    listed = names.split(",") if isinstance(names, str) else names
    names = tuple(name.strip() for name in listed if name.strip())
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"column {repeated[0]!r} is named twice", got=", ".join(names))
    return names


def read_table(path: Path) -> ScoreTable:
    """The table in CSV file `path`: a header line, then one line per setting.

    Names come from the column "setting", or from the first one. Raises DataError for a file that
    cannot be read, a line of the wrong length, a repeated or empty name.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
            rows = [[read_csv_cell(cell) for cell in line] for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise DataError(
            f"cannot read the table: {'a folder' if path.is_dir() else reason}",
            expected="a CSV file: a header and one line a setting",
            where=str(path),
        ) from error
    if len(rows) < 2:
        raise DataError(
            "the table has no settings", expected="a header and one line each", where=str(path)
        )
    header = [cell.strip() for cell in rows[0]]
    _check_separator(header, where=str(path))
    _check_shape(header, rows[1:], where=str(path))
    name_at = header.index(NAME_COLUMN) if NAME_COLUMN in header else 0
    names = tuple(row[name_at].strip() for row in rows[1:])
    _check_names(names, where=str(path))
    cells = {
        column: tuple(row[index] for row in rows[1:])
        for index, column in enumerate(header)
        if index != name_at
    }
    return ScoreTable(settings=names, cells=cells, where=str(path))


def _check_separator(header: list[str], *, where: str) -> None:
    """A spreadsheet may write semicolons or tabs where its commas are decimal."""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(
            "the header is a single cell",
            expected="cells separated by commas, numbers with a decimal point",
            got=f"{header[0]!r:.80}",
            where=where,
        )


def _check_shape(header: list[str], rows: list[list[str]], *, where: str) -> None:
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(f"column {repeated[0]!r} stands twice in the header", where=where)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(
                "line of the wrong length",
                expected=f"{len(header)} cells",
                got=len(row),
                where=f"{where}, row {number}",
            )


def _check_names(names: tuple[str, ...], *, where: str) -> None:
    if not all(names):
        raise DataError("a setting has no name", where=where)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"setting {repeated[0]!r} stands twice", where=where)
