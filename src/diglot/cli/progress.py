"""The progress bar of every long job: stage, share done, rate and time left, on stderr."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Called with (stage, done, total, note) as work goes on; a new stage starts a new bar.
Tell = Callable[[str, int, int, str], None]
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
            return Text(f"took {_clock(task.finished_time or 0.0)}", style="progress.elapsed")
        left = task.time_remaining
        return Text("" if left is None else f"{_clock(left)} left", style="progress.remaining")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@contextlib.contextmanager
def bars() -> Iterator[Tell]:
    """Progress bars for as long as the block runs; yields the function that moves them."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        RateColumn(),
        LeftColumn(),
        TextColumn("{task.fields[note]}"),
    )
    tasks: dict[str, int] = {}
    console = Console(stderr=True)
    told_s = 0.0
    # without a terminal a bar is drawn once, at the end; until then a line now and then
    progress = Progress(*columns, console=console, speed_estimate_period=30.0)
    try:

        def tell(stage: str, done: int, total: int, note: str = "") -> None:
            nonlocal told_s
            progress.start()  # with the first work: a mistake found before leaves no empty bar
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, note=note)
                if not console.is_terminal:
                    console.print(f"{stage} ...")
                    told_s = time.monotonic()
            if not console.is_terminal and time.monotonic() - told_s >= LINE_EVERY_S:
                console.print(f"{stage}: {done} of {total} {note}".rstrip())
                told_s = time.monotonic()
            progress.update(tasks[stage], completed=done, total=total, note=note)  # type: ignore[arg-type]

        yield tell
    finally:
        if tasks:
            progress.stop()


def no_note(tell: Tell) -> Callable[[str, int, int], None]:
    """The same without a note."""
    return lambda stage, done, total: tell(stage, done, total, "")
