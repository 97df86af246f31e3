"""Patch labels beside a dataset: words for every patch of every image, in the dataset's own shards.

    FOLDER/labels.json          how they were made, and which splits are done
    FOLDER/words.txt            the words, one a line; shards hold their numbers
    FOLDER/train-00000.parquet  one row a sample, in the order of the dataset's train-00000.parquet

`diglot label` writes such a folder; a stage's `labels` names it (see train/config).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.errors import ConfigError, DataError
from diglot.core.preprocess import Preprocess
from diglot.core.types import PatchLabels, SizeHW
from diglot.data import shards
from diglot.data.records import Dataset
from diglot.data.rejected import REJECTED
from diglot.data.shard_writer import ROW_GROUP_ROWS, ShardWriter, unreadable_error
from diglot.files import (
    FileDigests,
    check_own_folder,
    check_writable,
    file_sha256,
    lock_file,
    remove_left_overs,
    replace_file,
    replace_text,
)

MANIFEST, WORDS = "labels.json", "words.txt"
FORMAT = {"format": "diglot labels", "format_version": 1}
# What may lie in a folder before labels are begun there.
_BESIDE = (REJECTED, "calibration.json", "settled.json", "vectors")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("words", pa.list_(pa.list_(pa.int32()))),  # per patch, best first
        ("scores", pa.list_(pa.list_(pa.float32()))),
    ]
)


class LabelWriter:
    """Appends the labels of a dataset's samples, in order. Use as a context manager.

    A killed writer leaves whole shards; the same call again resumes after them: `done` samples
    are there. Raises ConfigError for a folder of other labels (another `about`, other words, or
    another dataset under the same split).
    """

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        *,
        words: Iterable[str],
        preprocess: Preprocess,
        patch_px: int,
        about: Mapping[str, Any],
    ) -> None:
        self.folder, self.dataset, self._words = Path(folder), dataset, words
        grid = {"preprocess": preprocess.view_settings(), "patch_px": patch_px}
        self._about = json.loads(json.dumps({**grid, "about": dict(about)}))
        self._open = ExitStack()
        sizes = dataset.shard_sizes
        self._shards = ShardWriter(
            self.folder,
            dataset.split,
            SCHEMA,
            shard_rows=lambda number: sizes[number],
            options={"compression": "zstd"},
        )

    @property
    def done(self) -> int:
        """Samples whose labels are there: written, or waiting for their shard to be full."""
        return len(self._shards)

    @property
    def whole(self) -> int:
        """Samples whose labels are in whole shards, on the disk."""
        return self._shards.rows

    @property
    def key(self) -> str:
        """Names all that the labels depend on; known once the writer is entered."""
        text = json.dumps([self._about, self.dataset.fingerprint], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __enter__(self) -> "LabelWriter":
        with check_writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._open.enter_context(lock_file(self.folder / f".{self.dataset.split}.lock", wait=False))
        try:
            self._resume_shards()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        with self._open:
            if kind is None and self.done == len(self.dataset):
                self._note_entry(complete=True)

    def add(self, words: Sequence[Sequence[int]], scores: Sequence[Sequence[float]]) -> None:
        """The labels of the next sample: per patch the words' numbers and scores, best first.

        Without a single patch the sample is noted as one that could not be labelled.
        """
        row = {"id": self.dataset.ids[self.done], "words": words, "scores": scores}
        if self._shards.add(row):
            self._note_entry(complete=False)

    def _resume_shards(self) -> None:
        manifest = read_labels_manifest(self.folder)
        entry = manifest["splits"].get(self.dataset.split)
        if not entry and shards.shard_paths(self.folder, self.dataset.split):
            raise _refuse_folder(
                "Parquet files that are no labels", self.folder, "Choose another folder."
            )
        check_own_folder(self.folder, marker=MANIFEST, beside=_BESIDE)
        words = _words_sha256(self._words)
        same_words = words == (manifest.get("words_sha256") or _sha256_of(self.folder / WORDS))
        same = all(manifest.get(key, value) == value for key, value in self._about.items())
        fingerprint = self.dataset.fingerprint
        if manifest["splits"] and not (same and same_words):
            raise _refuse_folder("labels made in another way, or of other words", self.folder)
        if entry and entry["fingerprint"] != fingerprint:
            raise _refuse_folder("labels of another dataset", self.folder)
        self._about["words_sha256"] = words
        footers = self._shards.resume((entry or {}).get("files"))
        _check_sizes(self.folder, [footer.num_rows for footer in footers], self.dataset)
        if not (entry and entry["complete"]):
            self._note_entry(complete=False)
        if _sha256_of(self.folder / WORDS) != words:  # after the manifest, by which it is ours
            with replace_file(self.folder / WORDS) as temporary, open(temporary, "wb") as file:
                file.writelines(map(_word_line, self._words))

    def _note_entry(self, *, complete: bool) -> None:
        with lock_file(self.folder / ".labels.lock", wait=True):
            for name in (MANIFEST, WORDS):
                remove_left_overs(self.folder / name)
            manifest = read_labels_manifest(self.folder) | self._about
            manifest["splits"][self.dataset.split] = {
                "fingerprint": self.dataset.fingerprint,
                "samples": self.done,
                "complete": complete,
                "files": self._shards.digests,
                "digest": _digest_shards(self.folder, list(self._shards.digests))
                if complete
                else None,
            }
            text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
            replace_text(self.folder / MANIFEST, text)


def _refuse_folder(
    what: str, folder: Path, fix: str = "Choose another folder, or delete this one."
) -> ConfigError:
    return ConfigError(f"the folder holds {what}", where=str(folder / MANIFEST), fix=fix)


def _words_sha256(words: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for word in words:
        digest.update(_word_line(word))
    return digest.hexdigest()


def _sha256_of(path: Path) -> str | None:
    return file_sha256(path) if path.exists() else None


def _word_line(word: str) -> bytes:
    if not word.strip() or "\n" in word or "\r" in word:
        raise DataError("not a word", expected="one line of text", got=repr(word))
    return f"{word}\n".encode()


def _check_sizes(folder: Path, rows: list[int], dataset: Dataset) -> None:
    """Raises DataError for a shard that is not as long as the dataset's."""
    for number, (got, expected) in enumerate(zip(rows, dataset.shard_sizes, strict=False)):
        if got != expected:
            name = f"{dataset.split}-{number:05d}.parquet"
            raise DataError(
                "labels are missing", expected=expected, got=got, where=str(folder / name)
            )


def _digest_shards(folder: Path, names: Sequence[str]) -> str:
    """Names the labels of a split: their bytes in order, and the words'.

    A file is read for it once, as long as it is not touched. Raises DataError naming one that is
    missing.
    """
    try:
        found = FileDigests(folder).find(WORDS, *names)
    except OSError as error:
        where = str(error.filename or folder)
        raise DataError(f"labels cannot be read ({error.strerror})", where=where) from error
    return hashlib.sha256(b"".join(map(bytes.fromhex, found))).hexdigest()


def read_labels_manifest(folder: Path) -> dict[str, Any]:
    """`labels.json`, or an empty one. Raises DataError where it is not ours."""
    path = folder / MANIFEST
    if not path.exists():
        return {**FORMAT, "splits": {}}
    try:
        manifest = json.loads(path.read_text("utf-8"))
        known = manifest["format"] == FORMAT["format"] and isinstance(manifest["splits"], dict)
        known = known and manifest["format_version"] == FORMAT["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("not a description of patch labels", where=str(path)) from error
    if not known:
        raise DataError("not labels that this version knows", expected=FORMAT, where=str(path))
    return manifest


class Labels:
    """The patch labels of a dataset: `labels[i]` are those of `dataset[i]`; see open_labels.

    Safe to send to other processes.
    """

    def __init__(self, folder: Path, dataset: Dataset, manifest: Mapping[str, Any]) -> None:
        self.folder, self.dataset, self.manifest = folder, dataset, manifest
        self.preprocess = Preprocess.from_view_settings(manifest["preprocess"])
        self._starts = [0, *accumulate(dataset.shard_sizes)]
        self._reset_caches()

    def _reset_caches(self) -> None:
        self._words: pa.StringArray | None = None
        self._group = lru_cache(maxsize=16)(self._read_group)
        self._cells = lru_cache(maxsize=64)(self._make_cells)

    def __getstate__(self) -> dict[str, Any]:
        return {"args": (self.folder, self.dataset, self.manifest)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["args"])

    @property
    def fingerprint(self) -> str:
        """Names the labels of this split."""
        return self.manifest["splits"][self.dataset.split]["digest"]

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[PatchLabels]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> PatchLabels:
        """The labels of sample `index`. Raises DataError where it could not be labelled."""
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        group, row = divmod(index - self._starts[shard], ROW_GROUP_ROWS)
        table = self._group(shard, group)
        where = f"sample {self.dataset.ids[index]!r}, labels"
        found = table.column("id")[row].as_py()
        if found != self.dataset.ids[index]:
            raise DataError("labels of another sample", got=repr(found), where=where)
        numbers, scores = (table.column(name)[row].as_py() for name in ("words", "scores"))
        sizes_hw = self.dataset.sizes_hw[index]
        if len(sizes_hw) != 1:
            raise DataError(
                "labels are of one image", expected="1 image", got=len(sizes_hw), where=where
            )
        cells_M4 = self._cells(sizes_hw[0])
        if not numbers:
            raise DataError("the image could not be labelled", where=where)
        if len(numbers) != len(cells_M4):
            raise DataError("not one entry a patch", expected=len(cells_M4), where=where)
        flat = self._read_vocabulary.take(pa.array([n for row in numbers for n in row], pa.int32()))
        words = iter(flat.to_pylist())
        return PatchLabels(
            cells_M4=cells_M4,
            words=tuple(tuple(next(words) for _ in row) for row in numbers),
            scores=tuple(tuple(row) for row in scores),
        )

    @property
    def _read_vocabulary(self) -> pa.StringArray:
        if self._words is None:
            lines = (self.folder / WORDS).read_text("utf-8").split("\n")[:-1]
            self._words = pa.array(lines, pa.string())
        return self._words

    def _read_group(self, shard: int, group: int) -> pa.Table:
        path = self.folder / f"{self.dataset.split}-{shard:05d}.parquet"
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                return file.read_row_group(group, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise unreadable_error(path, error) from error

    def _make_cells(self, size_hw: SizeHW) -> np.ndarray:
        grid = self.preprocess.token_grid(size_hw, patch_px=self.manifest["patch_px"])
        return grid.cells_P4


def _check_whole(folder: Path, dataset: Dataset, entry: Mapping[str, Any]) -> None:
    """Raises DataError where the files are not those that were written, naming the first."""
    names = [f"{dataset.split}-{i:05d}.parquet" for i in range(len(dataset.shard_sizes))]
    if _digest_shards(folder, names) == entry["digest"]:
        return
    found = FileDigests(folder).find(*names)
    recorded = entry.get("files") or dict(zip(names, found, strict=True))
    wrong = [n for n, digest in zip(names, found, strict=True) if recorded.get(n) != digest]
    raise DataError(
        "the file is not as it was written: damaged, or changed since",
        where=str(folder / (wrong or [WORDS])[0]),
        fix=f"Put a copy back, or make the labels again: delete {folder}.",
    )


def open_labels(folder: Path, dataset: Dataset) -> Labels:
    """The labels of a dataset's split. Raises ConfigError where there are none of this data."""
    fix = f"Make them: diglot label {dataset.folder} --split {dataset.split} --out {folder}"
    if not (folder / MANIFEST).exists():
        raise ConfigError("no patch labels here", where=str(folder), fix=fix)
    manifest = read_labels_manifest(folder)
    entry = manifest["splits"].get(dataset.split)
    if entry is None or not entry["complete"]:
        what = "no labels" if entry is None else "unfinished labels"
        raise ConfigError(f"{what} of split {dataset.split!r}", where=str(folder), fix=fix)
    if entry["fingerprint"] != dataset.fingerprint:
        raise ConfigError("labels of another dataset", where=str(folder), fix=fix)
    _check_whole(folder, dataset, entry)
    return Labels(folder, dataset, manifest)
