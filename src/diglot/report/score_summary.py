"""What a page shows of scores beside the plain table: papers' tables, radar, curves over steps."""

from collections.abc import Sequence
from typing import Any

from diglot.report.checkpoints import checkpoint_charts, group_checkpoints
from diglot.report.paper_layout import arrange_tables
from diglot.report.radar import WAYS, draw_radar
from diglot.report.schema import MeasureByRun


def view_summary(measures: Sequence[MeasureByRun], runs: Sequence[str]) -> dict[str, Any]:
    """The values of `scores.html.j2`; what the scores do not give is empty."""
    stepped = group_checkpoints(runs)
    kept = [measure for measure in measures if _stands_alone(measure)]
    return {
        "papers": arrange_tables(measures, runs),
        "radar": None if stepped else draw_radar(measures, runs),
        "over_steps": checkpoint_charts(kept, runs),
        "stepped_runs": tuple(stepped),
    }


def _stands_alone(measure: MeasureByRun) -> bool:
    """A task's own metric or a measure of alignment, none of a task's further metrics."""
    last = measure.key.split(".")[-1]
    plain = "." not in measure.key or measure.key.startswith("lmms.") or last in WAYS
    return plain and measure.higher_is_better is not None
