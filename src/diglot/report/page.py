"""The report of a run as one self-contained HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diglot.report.curves import line_chart
from diglot.report.embedding import entropy_bars, view_plane
from diglot.report.interval_chart import draw_intervals, measure_axis
from diglot.report.render import read_script, render_page, write_page
from diglot.report.scenes import view_scene
from diglot.report.schema import Example, MeasureByRun, Report, read_report
from diglot.report.score_summary import view_summary
from diglot.report.significance import find_differences, is_at_chance
from diglot.report.token_maps import find_scale, view_token_map
from diglot.report.token_views import script_data, view_details


def write_report(data: Mapping[str, Any], out: Path) -> Path:
    """Write the page of a run's result JSON (`schema.Report`) to `out`; equal data, equal bytes.

    The page asks nothing of the network, and is written whole or not at all. It runs no script but
    its own, which is there where an example has details.
    Raises DataError naming the field that cannot be used, ConfigError where `out` cannot be
    written.
    """
    return write_page(render_report(read_report(data)), out)


def render_report(report: Report) -> str:
    """The page as text."""
    detailed = any(example.details for example in report.examples)
    return render_page(
        "report.html.j2",
        {
            "report": report,
            "measures": [_view_measure(m, report.runs) for m in report.measures],
            "differences": find_differences(report.measures, report.runs),
            "index": {run: number for number, run in enumerate(report.runs)},
            "curves": [line_chart(c, report.runs) for c in report.curves],
            "entropy": entropy_bars(report),
            "planes": [view_plane(p, report.runs.index(run)) for run, p in report.planes.items()],
            "examples": [_view_example(e, report.runs) for e in report.examples],
            "token_data": script_data(report.examples, report.runs) if detailed else None,
            **view_summary(report.measures, report.runs),
            **(read_script() if detailed else {}),
        },
    )


def _view_measure(measure: MeasureByRun, runs: tuple[str, ...]) -> dict[str, Any]:
    axis = measure_axis(measure)
    scores = {run: result.score for run, result in measure.results.items()}
    return {
        "measure": measure,
        "at_chance": {run for run, score in scores.items() if is_at_chance(score, measure.chance)},
        "chart": draw_intervals(axis, scores, runs, chance=measure.chance),
        "groups": [_view_group(measure, name, axis, runs) for name in _group_names(measure)],
    }


def _group_names(measure: MeasureByRun) -> list[str]:
    """Names of all runs' groups, in the order they first appear."""
    return list(dict.fromkeys(name for r in measure.results.values() for name in r.groups))


def _view_group(
    measure: MeasureByRun, name: str, axis: Any, runs: tuple[str, ...]
) -> dict[str, Any]:
    scores = {run: r.groups[name] for run, r in measure.results.items() if name in r.groups}
    chart = draw_intervals(axis, scores, runs, chance=measure.chance)
    return {"name": name, "scores": scores, "chart": chart}


def _view_example(example: Example, runs: tuple[str, ...]) -> dict[str, Any]:
    view, scale = view_scene(example.scene), find_scale(example.token_maps.values())
    return {
        "view": view,
        "details": view_details(example, view, runs),
        "tokens": [
            view_token_map(tokens, view, runs.index(run), scale)
            for run, tokens in example.token_maps.items()
        ],
    }
