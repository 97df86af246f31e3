"""Scores in the layout of the papers' tables: a row a run, their columns and averages."""

from collections.abc import Sequence
from dataclasses import dataclass

from diglot.core.paper_tables import (
    PAPER_TABLES,
    PaperTable,
    difference,
    mean_gain,
    plain_mean,
)
from diglot.report.schema import MeasureByRun

Cells = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class ArrangedTable:
    """A table as a page shows it; None is not measured."""

    title: str
    groups: tuple[tuple[str, int], ...]  # names and how many columns each has
    columns: tuple[str, ...]
    rows: tuple[Cells, ...]  # by run
    changes: tuple[Cells, ...]  # of the further runs against the first
    missing: tuple[str, ...]  # columns of the paper that no run has
    means: bool


def arrange_tables(measures: Sequence[MeasureByRun], runs: Sequence[str]) -> list[ArrangedTable]:
    """The papers' tables of which a run has two columns at least."""
    by_title = {measure.title: measure for measure in measures if measure.key.startswith("lmms.")}
    return [
        _arrange(table, by_title, runs)
        for table in PAPER_TABLES
        if sum(column in by_title for column in table.columns) > 1
    ]


def _arrange(
    table: PaperTable, by_title: dict[str, MeasureByRun], runs: Sequence[str]
) -> ArrangedTable:
    shown = {
        group: [column for column in columns if column in by_title]
        for group, columns in table.groups.items()
    }
    rows = [_write_row(table, shown, by_title, run) for run in runs]
    heads = [
        (group, [*columns, *(["mean"] if table.means else [])])
        for group, columns in shown.items()
        if columns
    ]
    whole = table.means and all(shown.values())  # without a group there is nothing to average
    heads += [("", ["All"])] if whole else []
    relative = table.change == "relative"
    heads += [("", ["mean gain, %"])] if relative else []
    if relative:
        rows = [(*row, mean_gain(rows[0], row) if n else None) for n, row in enumerate(rows)]
    return ArrangedTable(
        title=table.title,
        groups=tuple((group, len(columns)) for group, columns in heads),
        columns=tuple(column for _, columns in heads for column in columns),
        rows=tuple(rows),
        changes=tuple(_subtract(rows[0], row) for row in rows[1:])
        if table.change == "difference"
        else (),
        means=table.means,
        missing=tuple(column for column in table.columns if column not in by_title),
    )


def _write_row(
    table: PaperTable, shown: dict[str, list[str]], by_title: dict[str, MeasureByRun], run: str
) -> Cells:
    """The values of the columns; a mean is there where all columns of the paper's group are."""
    values = {
        column: result.value if (result := by_title[column].results.get(run)) else None
        for columns in shown.values()
        for column in columns
    }
    cells, means = list[float | None](), list[float | None]()
    for group, columns in shown.items():
        if not columns:
            continue
        cells += [values[column] for column in columns]
        if table.means:
            means.append(plain_mean([values.get(column) for column in table.groups[group]]))
            cells.append(means[-1])
    whole = table.means and all(shown.values())
    return tuple(cells) + ((plain_mean(means),) if whole else ())


def _subtract(first: Cells, other: Cells) -> Cells:
    return tuple(difference(a, b) for a, b in zip(first, other, strict=True))
