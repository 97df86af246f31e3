"""Writing made pairs to a folder; a run that was killed resumes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.data.pair_folder import PairWriter
from diglot.data.pairs import Pair
from diglot.data.rejected import Rejected

_HOPELESS = 50  # pairs in a row that fail: the settings cannot work


class PairMaker(Protocol):
    """Makes pair after pair, each from its index alone."""

    @property
    def info(self) -> Mapping[str, Any]:
        """How pairs are made, as JSON."""
        ...

    @property
    def if_none_fits(self) -> str:
        """What to change where no pair can be made."""
        ...

    def pair_id(self, index: int) -> str:
        """The id of pair `index`; it ends in "-INDEX"."""
        ...

    def pair(self, index: int) -> Pair:
        """Pair `index`. Raises DataError where it cannot be made."""
        ...


def write_pairs(
    maker: PairMaker,
    folder: Path,
    count: int,
    *,
    report: Report = ignore_progress,
) -> Rejected:
    """Bring a folder to `count` pairs; what is there stays. Progress counts pairs.

    A pair that cannot be made is noted in `rejected.jsonl`, which is returned, and the next index
    is tried. Raises ConfigError where the folder holds other pairs, or none can be made.
    """
    if count < 1:
        raise ConfigError("count must be at least 1", got=count, where="--count")
    failed = 0
    with PairWriter(folder, info=maker.info) as writer:
        rejected = writer.open_rejected()
        index = pair_index(writer.ids[-1]) + 1 if writer.ids else 0
        report(Progress("pairs", min(len(writer), count), count))
        while len(writer) < count:
            try:
                writer.add(maker.pair(index))
                failed = 0
                report(Progress("pairs", len(writer), count))
            except DataError as error:
                rejected.add(maker.pair_id(index), error.what, where=error.where or "")
                failed += 1
                if failed > _HOPELESS:
                    raise ConfigError(
                        f"{failed} pairs in a row could not be made; the last: {error.what}",
                        fix=maker.if_none_fits,
                    ) from error
            index += 1
    return rejected


def pair_index(id: str) -> int:
    """Which pair a maker's id names."""
    return int(id.rsplit("-", 1)[1])
