"""Writing pairs of composed scenes to a folder, and going on where a killed run stopped."""

from collections.abc import Callable
from pathlib import Path

from diglot.core.errors import ConfigError, DataError
from diglot.data.rejected import Rejected
from diglot.select.correspondence.folder import PairWriter
from diglot.select.correspondence.scenes import ScenePairMaker, pair_index

REJECTED = "rejected.jsonl"
_HOPELESS = 50  # pairs in a row that fail: the settings cannot work


def write_scene_pairs(
    maker: ScenePairMaker,
    folder: Path,
    count: int,
    *,
    on_pair: Callable[[int, int], None] = lambda done, total: None,
) -> Rejected:
    """Bring a folder to `count` pairs; what is there stays. `on_pair(done, total)` after each.

    A pair that cannot be made goes to `rejected.jsonl`, which comes back, and the next takes its
    turn. Raises ConfigError where the folder holds other pairs, or none can be made.
    """
    if count < 1:
        raise ConfigError("count must be at least 1", got=count, where="--count")
    rejected, failed = Rejected(folder / REJECTED), 0
    with PairWriter(folder, info=maker.info) as writer:
        index = pair_index(writer.ids[-1]) + 1 if writer.ids else 0
        on_pair(min(len(writer), count), count)
        while len(writer) < count:
            try:
                writer.add(maker.pair(index))
                failed = 0
                on_pair(len(writer), count)
            except DataError as error:
                rejected.add(maker.pair_id(index), error.what, where=error.where or "")
                failed += 1
                if failed > _HOPELESS:
                    raise ConfigError(
                        f"{failed} pairs in a row could not be made; the last: {error.what}",
                        fix="Ask for smaller objects, fewer others, or less that must be visible.",
                    ) from error
            index += 1
    return rejected
