"""The C score as a table: PCK at every alpha, over all, by group, by category."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from diglot.core.result import Estimate
from diglot.measure.correspondence.pck import CScore, PckScore


def c_score_table(score: CScore, *, title: str) -> Table:
    """Percentages; the 95% interval, chance and ceiling stand for the first alpha."""
    first, *more = score.overall
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    heads = (f"PCK@{first:g}", "95% interval", "chance", "ceiling", *(f"@{a:g}" for a in more))
    for head in ("points", *heads):
        table.add_column(head, justify="right", no_wrap=True)
    whole = score.overall
    table.add_row("pooled", *_format_cells(whole, [s.pooled for s in whole.values()]))
    means = [s.pair_mean for s in whole.values()]
    table.add_row("mean of pairs", *_format_cells(whole, means), end_section=True)
    for part in (score.groups, score.categories):
        for number, (name, by_alpha) in enumerate(part.items(), start=1):
            cells = _format_cells(by_alpha, [s.pooled for s in by_alpha.values()])
            table.add_row(name, *cells, end_section=number == len(part))
    return table


def _format_cells(by_alpha: Mapping[float, PckScore], values: list[Estimate]) -> list[str]:
    """Points, the first alpha's value, interval, chance and ceiling, the other alphas' values."""
    score, (first, *more) = next(iter(by_alpha.values())), values
    cells = (first.value, first.low, first.high, score.chance, score.ceiling)
    value, low, high, *ends = map(_format_percent, cells)
    others = [_format_percent(other.value) for other in more]
    return [str(score.pooled.n), value, f"{low} to {high}", *ends, *others]


def _format_percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
