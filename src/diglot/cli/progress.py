"""The progress bar of every long job: stage, share done, rate and time left, on stderr."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from diglot.cli.console import open_console
from diglot.core.progress import Progress, Report

LINE_EVERY_S = 30.0  # where no terminal shows the bars, as in the log of a cluster's job


class RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.1f}/s" if rate else "", style="progress.data.speed")


class LeftColumn(TimeRemainingColumn):
    """Time left; once done, the time it took."""

    def render(self, task: Task) -> Text:
        """ "1:23 left", or "took 4:56"."""
        if task.finished:
            return Text(
                f"took {_format_clock(task.finished_time or 0.0)}", style="progress.elapsed"
            )
        left = task.time_remaining
        return Text(
            "" if left is None else f"{_format_clock(left)} left", style="progress.remaining"
        )


class NoteColumn(ProgressColumn):
    """The note, cut where the window is too narrow for it: the figures before it stay whole."""

    def render(self, task: Task) -> Text:
        """The note of the last event."""
        return Text(task.fields["note"], no_wrap=True, overflow="ellipsis")


def _whole_column() -> Column:
    return Column(no_wrap=True)


def _format_clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@contextlib.contextmanager
def show_progress() -> Iterator[Report]:
    """Progress bars for as long as the block runs; yields the function that moves them."""
    shown = _Shown(open_console(stderr=True))
    try:
        yield shown.update
    finally:
        shown.stop()


class _Shown:
    """One bar a stage. Without a terminal bars are drawn once, at the end, and lines until then."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=12, table_column=_whole_column()),
            MofNCompleteColumn(table_column=_whole_column()),
            RateColumn(table_column=_whole_column()),
            LeftColumn(table_column=_whole_column()),
            NoteColumn(table_column=Column()),
        )
        self._console = console
        self._bars = Bars(*columns, console=console, speed_estimate_period=30.0)
        self._tasks: dict[str, int] = {}
        self._printed_s = 0.0

    def update(self, event: Progress) -> None:
        """Move the bar of the event's stage, a new one for a new stage."""
        if event.stage not in self._tasks:
            self._bars.start()  # with the first work: a mistake found before leaves no empty bar
            self._tasks[event.stage] = self._bars.add_task(
                escape(event.stage), total=event.total, note=event.note
            )
            self._print_line(f"{event.stage} ...")
        elif time.monotonic() - self._printed_s >= LINE_EVERY_S:
            self._print_line(f"{event.stage}: {event.done} of {event.total} {event.note}".rstrip())
        self._bars.update(
            self._tasks[event.stage],  # type: ignore[arg-type]
            completed=event.done,
            total=event.total,
            note=event.note,
        )

    def _print_line(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line)
            self._printed_s = time.monotonic()

    def stop(self) -> None:
        """Leave the bars as they are, if there are any."""
        if self._tasks:
            self._bars.stop()
