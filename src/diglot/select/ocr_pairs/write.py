"""Writing pairs of text to a folder, and going on where a killed run stopped."""

from collections.abc import Callable
from pathlib import Path

from diglot.core.errors import ConfigError, DataError
from diglot.data.rejected import Rejected
from diglot.data.shards import replacing
from diglot.select.correspondence.folder import PairWriter, read_pairs
from diglot.select.ocr_pairs.compose import OcrPairMaker, pair_index
from diglot.select.ocr_pairs.preview import preview

REJECTED, PREVIEW = "rejected.jsonl", "preview.png"
_HOPELESS = 50  # pairs in a row that fail: the settings cannot work


def write_ocr_pairs(
    maker: OcrPairMaker,
    folder: Path,
    count: int,
    *,
    on_pair: Callable[[int, int], None] = lambda done, total: None,
) -> Rejected:
    """Bring a folder to `count` pairs; what is there stays. `on_pair(done, total)` after each.

    A pair that cannot be made goes to `rejected.jsonl`, which comes back, and the next takes its
    turn. Some of the pairs are drawn into `preview.png`. Raises ConfigError where the folder holds
    other pairs, or none can be made.
    """
    if count < 1:
        raise ConfigError("count must be at least 1", got=count, where="--count")
    rejected = Rejected(folder / REJECTED)
    with PairWriter(folder, info=maker.info) as writer:
        _fill(maker, writer, count, rejected, on_pair)
    with replacing(folder / PREVIEW) as temporary:
        preview(read_pairs(folder, rejected)).save(temporary, "PNG")
    return rejected


def _fill(
    maker: OcrPairMaker,
    writer: PairWriter,
    count: int,
    rejected: Rejected,
    on_pair: Callable[[int, int], None],
) -> None:
    index, failed = (pair_index(writer.ids[-1]) + 1 if writer.ids else 0), 0
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
                    fix="Ask for fewer texts or keypoints.",
                ) from error
        index += 1
