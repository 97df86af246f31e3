"""What an engine runs: work cut into slices of a list, and workers that make a slice each.

An engine knows nothing of what is made. A slice's outcome depends on the slice alone, so that it is
the same under every engine; what a worker keeps of it is there whole or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class SliceJob:
    """Some items of the list. `careful`: one image at a time, each announced before it is begun,
    since workers died of this slice; `suspects`, `deadly`: the indices of the items that they died
    of once, and twice.
    """

    number: int
    items: tuple[Any, ...]
    careful: bool = False
    suspects: frozenset[int] = frozenset()
    deadly: frozenset[int] = frozenset()
    tries: int = 0


Announce = Callable[[int], None]


def announce_nothing(index: int) -> None:
    """An `Announce` for whoever does not watch."""


class Worker(Protocol):
    """Makes slices with models of its own."""

    def open_ahead(self, job: SliceJob) -> Any:
        """The pictures of a slice, the first of them being decoded already; None where careful."""
        ...

    def make(self, job: SliceJob, opened: Any, announce: Announce = announce_nothing) -> Any:
        """What comes of the slice of `open_ahead`; where the job is careful, `announce` is called
        with an item's index before it is begun."""
        ...

    def keep(self, made: Any) -> None:
        """Write what was made; another slice may be made meanwhile."""
        ...


class Work(Protocol):
    """All that a worker needs to know; picklable."""

    def build_worker(self) -> Worker:
        """A worker with its models, built once in its process."""
        ...
