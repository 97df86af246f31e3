"""Live progress of measuring: scenes per second and time left, on stderr."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class SceneRateColumn(ProgressColumn):
    """Scenes per second, or nothing before the first."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} scenes/s" if speed else "")


def measure_progress() -> Progress:
    """A progress display for `measure_alignment`; use it as a context manager."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} scenes"),
        SceneRateColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


class Meter:
    """Turns tokens done into scenes done, so that time left is right across unlike measures."""

    def __init__(self, progress: Progress | None, *, scenes: int, tokens: int) -> None:
        self.progress, self.scenes_per_token = progress, scenes / max(tokens, 1)
        self.task = progress.add_task("measure", total=max(scenes, 1)) if progress else None

    def stage(self, what: str) -> None:
        """What is being measured now."""
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, description=f"measure: {what}")

    def done(self, tokens: int) -> None:
        """So many more tokens went through the LLM."""
        if self.progress is not None and self.task is not None:
            self.progress.advance(self.task, tokens * self.scenes_per_token)
