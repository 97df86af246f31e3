"""The cache of a frozen encoder's features, filled by an engine before any training.

A worker writes a slice's features into the cache's file, which has a place for each, and then a
small account of them; this process marks them as done. The cache is the one that training would
make, byte for byte.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from PIL import Image

from diglot.core.errors import DataError
from diglot.core.progress import Progress, Report
from diglot.data.config import FeaturesConfig
from diglot.data.features import BATCH_IMAGES, FeatureCache
from diglot.data.records import Dataset
from diglot.data.rejected import DatasetRejected, Rejected, Rejection, rejection_of
from diglot.data.samples import use_sample
from diglot.files import lock_file, write_json
from diglot.models.config import VLMConfig
from diglot.models.features import name_cache
from diglot.models.processor import ViewProcessor
from diglot.models.views import encode_by
from diglot.models.vlm import build_encoder, build_image_side
from diglot.synth.chain import run_ahead
from diglot.synth.config import EngineName
from diglot.synth.device import find_device
from diglot.synth.engines.choose import run_work
from diglot.synth.work import Announce, SliceJob, announce_nothing

SLICE_IMAGES = 32
ACCOUNTS = "accounts"
Opened = tuple[int, list[Image.Image] | Rejection]


@dataclass(frozen=True)
class MadeFeatures:
    """Of a slice: each sample's features (rows, E), or why it has none."""

    number: int
    rows: dict[int, torch.Tensor | Rejection]


@dataclass(frozen=True)
class FeatureWork:
    """What a worker needs to fill slices of a cache; the encoder that is there serves this process
    alone."""

    cache: FeatureCache
    model: VLMConfig
    processor: ViewProcessor
    encoder: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "encoder": None}

    def build_worker(self) -> "FeatureWorker":
        """A worker with the encoder on its device."""
        encoder = build_encoder(self.model) if self.encoder is None else self.encoder
        return FeatureWorker(self.cache, self.processor, encoder.eval().to(find_device()))


class FeatureWorker:
    """Encodes slices."""

    def __init__(self, cache: FeatureCache, processor: ViewProcessor, encoder: Any) -> None:
        self._cache, self._processor, self._encoder = cache, processor, encoder

    def open_ahead(self, job: SliceJob) -> Iterator[Opened] | None:
        """The samples' pictures, decoded by a thread; none where careful."""
        return None if job.careful else run_ahead(self._read(job), BATCH_IMAGES)

    def make(
        self,
        job: SliceJob,
        opened: Iterator[Opened] | None,
        announce: Announce = announce_nothing,
    ) -> MadeFeatures:
        """The features of the slice's samples."""
        rows: dict[int, torch.Tensor | Rejection] = {}
        if opened is not None:
            while batch := list(islice(opened, BATCH_IMAGES)):
                rows |= self._encode(batch)
        else:
            for number, one in enumerate(self._read(job)):
                announce(number)
                rows |= self._encode([one])
        return MadeFeatures(job.number, rows)

    def keep(self, made: MadeFeatures) -> None:
        """Write the features, then the account that they are there."""
        usable = {i: r.numpy() for i, r in made.rows.items() if not isinstance(r, Rejection)}
        rejected = {i: asdict(r) for i, r in made.rows.items() if isinstance(r, Rejection)}
        account = {"checksums": self._cache.write_rows(usable), "rejected": rejected}
        write_json(account_path(self._cache, made.number), account)

    def _read(self, job: SliceJob) -> Iterator[Opened]:
        ids = self._cache.dataset.ids
        for number, index in enumerate(job.items):
            id = str(ids[index] or f"#{index}")
            try:
                if number in job.deadly:
                    raise DataError("its worker was killed twice", where="features")
                yield index, self._cache.open_pictures(index)
            except DataError as error:
                yield index, rejection_of(id, error)

    def _encode(self, batch: list[Opened]) -> dict[int, torch.Tensor | Rejection]:
        own = [pictures for _, pictures in batch if not isinstance(pictures, Rejection)]
        flat = list(chain.from_iterable(own))
        grids = iter(encode_by(self._encoder, self._processor, flat) if flat else [])
        made: dict[int, torch.Tensor | Rejection] = {}
        for index, pictures in batch:
            if isinstance(pictures, Rejection):
                made[index] = pictures
            else:
                views = [view.flatten(0, 1).float() for _ in pictures for view in next(grids)]
                # a conversation may have no image
                made[index] = torch.cat(views) if views else torch.zeros(0, self._encoder.width)
        return made


def account_path(cache: FeatureCache, number: int) -> Path:
    """The account of a slice that is written and not yet marked."""
    return cache.folder / ACCOUNTS / f"slice-{number:07d}.json"


def fill_features(
    model: VLMConfig,
    dataset: Dataset,
    config: FeaturesConfig,
    rejected: Rejected,
    report: Report,
    *,
    engine: EngineName = "local",
    workers: int = 0,
) -> FeatureCache:
    """Make what is missing of a dataset's features. Progress counts samples.

    The samples that have none are noted in `rejected` under `listed_name`, also those that an
    earlier call or training found.

    A call that was killed resumes when made again. Raises ConfigError where the disk has no room,
    or as the engine does.
    """
    encoder, processor = build_image_side(model)
    cache = name_cache(encoder, processor, dataset, config)
    cache.make_room()
    kept = encoder if engine == "local" and workers == 0 else None
    work = FeatureWork(cache, model, processor, kept)
    del encoder, kept  # a worker has its own
    with lock_file(cache.folder / ".fill.lock", wait=False):
        listed = rejected.of_dataset(listed_name(cache))
        _note_known(cache, listed)
        filler = _Filler(cache, listed, report)
        run_work(work, filler.list_jobs(), filler.take_done, engine=engine, workers=workers)
        shutil.rmtree(cache.folder / ACCOUNTS, ignore_errors=True)
    return cache


def listed_name(cache: FeatureCache) -> str:
    """What the samples of a cache are listed under, among those of others in one folder.

    The dataset's content and the encoder are in the name of the cache.
    """
    dataset = cache.dataset
    return f"{dataset.folder}, {dataset.split}, {cache.folder.name}"


def _note_known(cache: FeatureCache, listed: DatasetRejected) -> None:
    """Note the samples that are marked as rejected already; training lists them elsewhere."""
    for index in cache.rejected():
        made = use_sample(cache.dataset, index, lambda _, index=index: cache.open_pictures(index))
        if isinstance(made, Rejection):
            listed.note(made)


class _Filler:
    """Lists the slices that lack features, and marks those that are written."""

    def __init__(self, cache: FeatureCache, rejected: DatasetRejected, report: Report) -> None:
        self._cache, self._rejected, self._report = cache, rejected, report
        self._total = len(cache.dataset)
        self._done = self._total - len(cache.missing())
        self._alone = Lock()  # slices that a former run wrote come from the list of jobs
        report(Progress("features", self._done, self._total))

    def list_jobs(self) -> Iterator[SliceJob]:
        """Slices with a sample that has no features; only those samples are made."""
        missing = iter(self._cache.missing())
        index = next(missing, None)
        while index is not None:
            number, items = index // SLICE_IMAGES, []
            while index is not None and index // SLICE_IMAGES == number:
                items.append(index)
                index = next(missing, None)
            if account_path(self._cache, number).is_file():
                self.take_done(number)
            else:
                yield SliceJob(number, tuple(items))

    def take_done(self, number: int) -> None:
        """Mark a slice's samples; note those that were rejected."""
        path = account_path(self._cache, number)
        with self._alone:
            account = json.loads(path.read_text("utf-8"))
            rejected = {int(i): Rejection(**fields) for i, fields in account["rejected"].items()}
            for rejection in rejected.values():
                self._rejected.note(rejection)
            checksums = {int(i): checksum for i, checksum in account["checksums"].items()}
            self._cache.mark_written(checksums, rejected)
            path.unlink()
            self._done += len(checksums) + len(rejected)
            self._report(Progress("features", min(self._done, self._total), self._total))
