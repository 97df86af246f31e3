"""Papers' tables against what they print, the radar against plain geometry, curves over steps."""

import json
import math
import re

import pytest

from diglot.core.paper_tables import PAPER_TABLES, difference, mean_gain
from diglot.report.answers_page import render_answers_page
from diglot.report.answers_schema import read_answers_page
from diglot.report.checkpoints import checkpoint_charts, group_checkpoints
from diglot.report.paper_layout import arrange_tables
from diglot.report.radar import MIDDLE, RADIUS, draw_radar
from diglot.report.schema import MeasureByRun, Result

# VDEP Tables 1 and 2 in the order of our columns: LLaVA-v1.5-7B, LLaVA-VDEP, and the printed CHANGE
VDEP = (
    (54.32, 62.12, 50.34, 46.16, 54.80, 66.80),
    (57.68, 62.50, 50.37, 46.76, 57.64, 68.36),
    (3.36, 0.38, 0.03, 0.60, 2.84, 1.56),
)
VDEP_MORE = (
    (85.85, 66.10, 55.63, 31.10, 31.20, 47.94, 297, 64.97, 57.90),
    (86.20, 66.70, 56.57, 30.60, 30.80, 48.00, 326, 66.81, 58.23),
    (0.35, 0.60, 0.94, -0.50, -0.40, 0.06, 29, 1.84, 0.33),
)
# SEA Table 2, Gemma-2B without and with SEA; section 4.4 prints a mean gain of 7.61%
GEMMA = (72.5, 43.7, 56.0, 61.3, 54.0, 84.4, 38.7, 23.9)
GEMMA_SEA = (76.6, 49.7, 60.9, 62.5, 59.5, 87.0, 39.5, 27.6)
# SEA Table 3: LLaVA, with SEA, and the printed gains in per cent
FINE = ((88.0, 28.6, 84.8, 319, 0.44), (90.4, 29.7, 88.7, 336, 0.49), (2.7, 3.9, 4.6, 5.3, 11.4))
# MME scores of VDEP Table 3: reasoning, existence, count, position, colour, and the printed total
MME = (
    ((120.71, 185.00, 143.33, 133.33, 180.00), 762.37),
    ((130.70, 200.00, 158.33, 138.33, 180.00), 807.36),
    ((135.71, 190.00, 158.33, 128.33, 175.00), 787.37),
    ((136.00, 190.00, 153.30, 135.00, 180.00), 794.30),
)
BY_TITLE = {table.title: table for table in PAPER_TABLES}


def measure(title: str, values: dict[str, float], *, key: str = "", unit: str = "per cent"):
    results = {
        run: Result(value=float(v), low=None, high=None, n=10, groups={})
        for run, v in values.items()
    }
    return MeasureByRun(
        key=key or f"lmms.{title}",
        title=title,
        what="what",
        unit=unit,
        chance=None,
        higher_is_better=True,
        results=results,
    )


def paper_rows(title: str, *rows: tuple[float, ...]) -> list[MeasureByRun]:
    names = [f"run{n}" for n in range(len(rows))]
    columns = BY_TITLE[title].columns
    return [
        measure(column, dict(zip(names, values, strict=True)))
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]


@pytest.mark.parametrize("rows", [VDEP, VDEP_MORE])
def test_vdeps_changes_are_plain_differences(rows) -> None:
    for first, other, printed in zip(*rows, strict=True):
        assert difference(first, other) == pytest.approx(printed, abs=0.0051)
    assert difference(None, 1.0) is None


def test_vdeps_table_has_a_row_of_changes() -> None:
    first, other, printed = (a + b for a, b in zip(VDEP, VDEP_MORE, strict=True))
    measures = paper_rows("VDEP Tables 1 and 2", first, other)
    table = next(t for t in arrange_tables(measures, ("run0", "run1")) if "VDEP" in t.title)
    assert table.rows == (first, other)
    assert table.changes[0] == pytest.approx(printed, abs=0.0051)
    assert not table.missing


def test_vdeps_totals_of_mme_are_sums() -> None:
    for parts, total in MME:
        assert sum(parts) == pytest.approx(total, abs=0.0051)


def test_seas_gain_is_the_mean_of_relative_gains() -> None:
    assert mean_gain(GEMMA, GEMMA_SEA) == pytest.approx(7.61, abs=0.005)
    for first, other, printed in zip(*FINE, strict=True):
        assert mean_gain([first], [other]) == pytest.approx(printed, abs=0.06)
    measures = paper_rows("SEA Tables 1 and 2", GEMMA, GEMMA_SEA)
    table = next(t for t in arrange_tables(measures, ("run0", "run1")) if "SEA" in t.title)
    assert table.columns[-1] == "mean gain, %"
    assert table.rows[0][-1] is None
    assert table.rows[1][-1] == pytest.approx(7.61, abs=0.005)
    assert mean_gain([0.0, 1.0], [1.0, 1.0]) is None


def test_a_mean_needs_all_columns_of_its_group() -> None:
    measures = [measure(c, {"a": 50.0}) for c in BY_TITLE["MMCS Tables 1 to 4"].columns[:6]]
    (table, *_) = arrange_tables(measures, ("a",))
    means = dict(zip(table.columns, table.rows[0], strict=True))
    assert table.rows[0][6] == 50.0  # General is whole
    assert "All" not in means  # Perception and Grounding have no column here
    every = BY_TITLE["MMCS Tables 1 to 4"].columns
    whole = arrange_tables([measure(c, {"a": 50.0}) for c in every], ("a",))[0]
    assert dict(zip(whole.columns, whole.rows[0], strict=True))["All"] == 50.0
    assert "ChartQA" in table.missing
    assert not arrange_tables(measures[:1], ("a",))


def test_the_radar_reaches_the_rim_where_a_run_is_best() -> None:
    values = [{"a": 0.5, "b": 0.25}, {"a": 0.2, "b": 0.8}, {"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 1}]
    measures = [
        measure(f"m{n}", v, key=f"t{n}.likelihood", unit="accuracy") for n, v in enumerate(values)
    ]
    radar = draw_radar(measures, ("a", "b"))
    assert radar is not None
    for n, v in enumerate(values):
        top = max(v.values())
        for run, dots in zip("ab", radar.dots, strict=True):
            x, y = dots[n]
            share = math.hypot(x - MIDDLE, y - MIDDLE) / RADIUS
            assert share == pytest.approx(v[run] / top, abs=1e-4)
        assert radar.spokes[n].best == top
    assert radar.dots[0][0] == (MIDDLE, MIDDLE - RADIUS)  # the first axis points up
    assert draw_radar(measures[:2], ("a", "b")) is None
    assert draw_radar(measures, ("a",)) is None
    assert (
        draw_radar([*measures[:2], measure("p", {"a": 1.0}, key="p.generate")], ("a", "b")) is None
    )


def test_checkpoints_are_grouped_by_their_runs() -> None:
    names = ("sea-100", "caption-0", "sea-20", "caption-100")
    assert group_checkpoints(names) == {
        "sea": [(20, "sea-20"), (100, "sea-100")],
        "caption": [(0, "caption-0"), (100, "caption-100")],
    }
    assert not group_checkpoints(("qwen2", "qwen3"))
    assert not group_checkpoints(("a-1", "b"))
    assert not group_checkpoints(("a-1", "b-1"))
    assert not group_checkpoints(("a-1", "a-01"))
    (chart,) = checkpoint_charts([measure("TACS", dict.fromkeys(names, 0.5), key="tacs")], names)
    assert [line.run for line in chart.lines] == [0, 1]
    assert all(len(line.dots) == 2 for line in chart.lines)


def test_the_page_of_answers_shows_them() -> None:
    names = ["sft-0", "sft-50"]
    measures = [measure(c, dict.fromkeys(names, 50.0)) for c in ("OKVQA", "GQA", "VizWiz")]
    measures.append(measure("MMLU", {"sft-0": 0.4, "sft-50": 0.3}, key="mmlu.likelihood"))
    record = {
        "title": "Answers",
        "runs": names,
        "created": "today",
        "data": "d",
        "measures": [m.model_dump() for m in measures],
        "pairs": [],
        "pictures": [],
    }
    text = render_answers_page(read_answers_page(record))
    assert "In the layout of VDEP" in text
    assert 'id="steps"' in text
    assert 'id="radar"' not in text
    other = json.loads(re.sub(r"sft-(\d+)", r"sft\1", json.dumps(record)))
    assert 'id="radar"' in render_answers_page(read_answers_page(other))
