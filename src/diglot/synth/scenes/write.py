"""Writing scenes to a dataset folder; a run that was killed resumes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.types import Sample
from diglot.data.rejected import Rejected
from diglot.data.writer import SHARD_SAMPLES, DatasetWriter
from diglot.synth.scenes.compose import scene_index

# More rejections in a row than this mean that the settings cannot work, not bad luck.
_HOPELESS = 50


class Maker(Protocol):
    """What makes the records of one split by their index: SceneMaker, ConversationMaker."""

    split: str

    @property
    def info(self) -> Mapping[str, Any]:
        """How they are made, for `dataset.json`."""
        ...

    def scene_id(self, index: int) -> str:
        """The id of record `index`, which `scene_index` reads back."""
        ...

    def scene(self, index: int) -> Sample:
        """Record `index`. Raises DataError where it cannot be made."""
        ...


def write_scenes(
    maker: Maker,
    folder: Path,
    count: int,
    *,
    shard_samples: int = SHARD_SAMPLES,
    report: Report = ignore_progress,
) -> Rejected:
    """Bring split `maker.split` of `folder` to `count` scenes; what is there already stays.

    Progress counts scenes, from the start and after every one. A scene that cannot be made is
    noted in `rejected-SPLIT.jsonl`, which comes back, and the next index takes its turn.

    Raises ConfigError where the folder holds scenes of other settings, or more than `count`, or
    no scene can be made.
    """
    if count < 1:
        raise ConfigError("count must be at least 1", got=count)
    writer = DatasetWriter(folder, split=maker.split, shard_samples=shard_samples, info=maker.info)
    with writer:
        if len(writer) > count:
            raise ConfigError(
                f"the folder holds more scenes of split {maker.split!r}",
                expected=f"at most {count}",
                got=len(writer),
                where=str(folder),
                fix="Ask for as many, or choose another folder.",
            )
        rejected = writer.open_rejected()
        index = max(map(scene_index, writer.read_ids()), default=-1) + 1
        _fill_split(maker, writer, rejected, index, count, report)
    return rejected


def _fill_split(
    maker: Maker,
    writer: DatasetWriter,
    rejected: Rejected,
    index: int,
    count: int,
    report: Report,
) -> None:
    failed, stage = 0, f"scenes, {maker.split}"
    report(Progress(stage, len(writer), count))
    while len(writer) < count:
        try:
            writer.add(maker.scene(index))
            failed = 0
            report(Progress(stage, len(writer), count))
        except DataError as error:
            rejected.add(maker.scene_id(index), error.what, where=error.where or "")
            failed += 1
            if failed > _HOPELESS:
                raise ConfigError(
                    f"{failed} scenes in a row could not be made; the last: {error.what}",
                    where=error.where,
                    fix="Ask for fewer or smaller objects, or more overlap.",
                ) from error
        index += 1
