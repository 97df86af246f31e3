"""From images to a grounded dataset: the steps of a recipe over all images, resumable at any time.

Legend of the output folder: the dataset itself; `rejected-SPLIT.jsonl`, images that were left out;
`lost_regions-SPLIT.jsonl`, regions that were filtered; `funnel-SPLIT.json`, how many of each, by
step and reason; `.synth`, what is kept to resume.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.data.rejected import rejected_name
from diglot.data.writer import DatasetWriter
from diglot.files import (
    check_same_settings,
    file_sha256,
    read_kept,
    replace_file,
    write_kept,
)
from diglot.synth.commit import Committer, funnel_name
from diglot.synth.config import SynthConfig, resolve_steps
from diglot.synth.engines.choose import count_workers, run_work
from diglot.synth.slice_files import STATE, has_samples
from diglot.synth.slices import WorkSpec
from diglot.synth.source import Source
from diglot.synth.work import SliceJob

ITEMS, SETTINGS = "items.jsonl", "settings.json"
SHARED = ("cache", "source")  # folders of all splits, beside each one's own


def run_synthesis(
    source: Source,
    out: Path,
    config: SynthConfig,
    *,
    split: str = "train",
    report: Report = ignore_progress,
) -> dict[str, Any]:
    """Run the steps on all images of `source` into a split of the dataset folder `out`.

    A call that was killed resumes when made again: no finished slice is redone. Returns the funnel.
    Raises ConfigError for steps that are wrong, a folder that was begun with others, or an endpoint
    that stays away.
    """
    if split in SHARED:
        raise ConfigError(
            "a split cannot be called so here",
            expected=f"another name than {' and '.join(SHARED)}",
            got=split,
            where="split",
        )
    steps = resolve_steps(config.steps)
    info = {"synth": {"images": source.describe(), "steps": json.loads(json.dumps(steps))}}
    info["synth"] |= {"slice_images": config.slice_images, "max_images": config.max_images}
    with DatasetWriter(out, split=split, shard_samples=config.shard_samples, info=info) as writer:
        state = _open_state(out / STATE / split, info, writer.former_info)
        items = _ItemList(state / ITEMS)
        items.write_once(source.list_items, config.max_images)
        rejected = writer.open_rejected()
        for one in source.rejections():
            rejected.of_dataset("source").note(one)
        committer = Committer(writer, state, rejected, shard_samples=config.shard_samples)
        cache = Path(config.cache or out / STATE / "cache")
        spec = WorkSpec(source, steps, state, cache, keeps_steps=config.cache is not None)
        _run_all(spec, items, committer, config, report)
        _check_not_empty(committer, source, out, split)
    committer.remove_last_parts()
    return {"images": committer.images, "samples": committer.samples, "steps": committer.funnel}


def _open_state(folder: Path, info: Mapping[str, Any], former: Mapping[str, Any] | None) -> Path:
    """The folder of what is kept to resume, without what a call of other settings left.

    `former` are the settings by the dataset's description, for a folder that has none of its own.
    Raises ConfigError where the call before made samples, which lie in no shard yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    kept = read_kept(path, SETTINGS)
    before = former if kept is None else kept
    if before not in (None, info):
        write_kept(path, SETTINGS, before)  # the dataset's description may name ours by now
        if has_samples(folder):
            check_same_settings("unfinished synthesis", before, info, folder.parent.parent)
        for left in folder.iterdir():  # the settings stay to the last: a kill may come between
            if left.name != SETTINGS:
                left.unlink()
    if kept != info:
        write_kept(path, SETTINGS, info)
    return folder


def _check_not_empty(committer: Committer, source: Source, out: Path, split: str) -> None:
    if committer.samples:
        return
    raise ConfigError(
        "no image came through all steps" if committer.images else "no images found",
        got=f"{committer.images} images",
        where=str(out) if committer.images else f"the {source.describe()['kind']} of images",
        fix=f"The reasons are counted in {funnel_name(split)}, each image with its own is in "
        f"{rejected_name(split)}."
        if committer.images
        else None,
    )


def _run_all(
    spec: WorkSpec,
    items: "_ItemList",
    committer: Committer,
    config: SynthConfig,
    report: Report,
) -> None:
    slices = -(-len(items) // config.slice_images)
    alone = Lock()  # done slices come from the list, others from wherever an engine has them
    queued: dict[int, int] = {}  # images of the slices that an engine has

    def take(number: int) -> None:
        with alone:
            queued.pop(number, None)
            committer.take_done(number)
            _report_funnel(committer, len(items), sum(queued.values()), report)

    def jobs() -> Iterator[SliceJob]:
        for number, batch in enumerate(items.read_slices(config.slice_images)):
            with alone:
                is_done = committer.has_samples(number)
            if is_done:
                take(number)
            else:
                queued[number] = len(batch)
                yield SliceJob(number, batch)

    workers = count_workers(config.workers)
    run_work(spec, jobs(), take, engine=config.engine, workers=workers)
    committer.finish(spec.folder.parent.parent, slices)


def _report_funnel(committer: Committer, total: int, queued: int, report: Report) -> None:
    note = f"{committer.samples} samples" + (f", {queued} images in work" if queued else "")
    report(Progress("images", committer.images, total, note))
    for name, step in committer.funnel.items():
        rate = step["images"] / step["seconds"] if step["seconds"] else 0.0
        note = f"{rate:.1f} images/s of its own"
        note += _name_drops("images", step["dropped"]) + _name_drops("regions", step["lost"])
        reach = step["images"] / max(committer.images, 1)  # others were dropped before it
        report(Progress(name, step["images"], round(total * reach), note))


def _name_drops(what: str, counts: Mapping[str, int]) -> str:
    """How many were dropped for each reason, the commonest first."""
    reasons = sorted(counts, key=lambda reason: -counts[reason])
    return "".join(f"; {counts[reason]} {what}: {reason}" for reason in reasons)


class _ItemList:
    """The items of the source, fixed when the run is begun: files that come later stay out."""

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        self._digest = path.with_suffix(".json")

    def write_once(self, list_items: Callable[[], Iterator[Any]], limit: int | None) -> None:
        """Write the list, unless a former run did; one of nothing is written again. Raises
        DataError for one damaged since, if the source has other items now.
        """
        written = read_kept(self._digest, ITEMS)
        if not self._is_whole(written):
            self._write(islice(list_items(), limit))
        found = file_sha256(self._path)
        if written not in (None, found):
            raise DataError(
                "the list of what is to be done was damaged, and the source has other items now",
                where=str(self._path),
                fix="Choose another output folder.",
            )
        if written is None and self._path.stat().st_size:
            write_kept(self._digest, ITEMS, found)
        with open(self._path, encoding="utf-8") as file:
            self._count = sum(1 for _ in file)

    def _is_whole(self, written: str | None) -> bool:
        if not self._path.exists() or not self._path.stat().st_size:
            return False
        return written in (None, file_sha256(self._path))

    def _write(self, items: Iterator[Any]) -> None:
        with replace_file(self._path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            for item in items:
                file.write(json.dumps(item) + "\n")

    def __len__(self) -> int:
        return self._count

    def read_slices(self, size: int) -> Iterator[tuple[Any, ...]]:
        """The items, `size` at a time, in order."""
        with open(self._path, encoding="utf-8") as file:
            while batch := tuple(_freeze_lists(json.loads(line)) for line in islice(file, size)):
                yield batch


def _freeze_lists(item: Any) -> Any:
    return tuple(_freeze_lists(part) for part in item) if isinstance(item, list) else item
