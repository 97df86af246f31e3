"""How far a long job is: one event, and one kind of function that takes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """How far one stage of a job is."""

    stage: str  # what is being done, as a person reads it; a new stage is a new bar
    done: int
    total: int
    note: str = ""  # what stands beside the bar: a loss, the item at work


Report = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """A `Report` for callers that show nothing."""


def rename_stages(report: Report, name: Callable[[str], str]) -> Report:
    """A `Report` that passes events on with `name(stage)` for their stage."""
    return lambda progress: report(replace(progress, stage=name(progress.stage)))


class Meter:
    """Counts tokens and reports scenes: the time left is right across measures of unlike cost."""

    def __init__(self, report: Report, *, stage: str, scenes: int, tokens: int) -> None:
        self._report, self._stage = report, stage
        self._scenes, self._tokens = scenes, tokens
        self._done, self._note = 0, ""

    def begin(self, what: str) -> None:
        """Note what is being measured from here on."""
        self._note = what
        self.advance(0)

    def advance(self, tokens: int) -> None:
        """Count tokens that went through the LLM."""
        self._done += tokens
        share = self._done / self._tokens if self._tokens else 1.0
        scenes = int(share * self._scenes + 1e-6)
        self._report(Progress(self._stage, scenes, self._scenes, self._note))
