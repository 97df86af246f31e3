"""A folder of WebDataset tars: pictures and their captions under the same key, in order."""

import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Lineage, Sample
from diglot.data.images import SUFFIXES, image_size
from diglot.data.tar_members import open_plain_tar
from diglot.synth.sources.folder import MAX_CAPTION_BYTES, parse_caption
from diglot.synth.step import Dropped

MAX_IMAGE_BYTES = 256_000_000
Member = tuple[str, int, int]  # name, offset, bytes
Item = tuple[str, str, tuple[Member, ...]]  # tar, key, members


class WebDatasetSource:
    """Records of all tars by name; a member is read by its offset, so slices need no scan."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def rejections(self) -> tuple[()]:
        """None: what is wrong with an item shows when it is read."""
        return ()

    def list_items(self) -> Iterator[Item]:
        """(tar, key, members) of every record with a picture or caption."""
        for path in sorted(self._root.glob("*.tar")):
            for key, members in groupby(
                _iterate_members(path), lambda member: _sample_key(member[0])
            ):
                yield path.name, key, tuple(members)

    def read_item(self, item: Item) -> Sample | Dropped:
        """The record of a key."""
        tar, key, members = item
        id = f"{tar.removesuffix('.tar')}/{key}"
        try:
            return self._read(id, tar, members)
        except (DataError, OSError) as error:
            as_data = error if isinstance(error, DataError) else DataError(str(error), where=tar)
            return Dropped.from_error(id, as_data)

    def _read(self, id: str, tar: str, members: tuple[Member, ...]) -> Sample:
        image, caption = b"", ""
        for name, offset, size in members:
            if name.lower().endswith(SUFFIXES):
                image = self._bytes(tar, offset, size, limit=MAX_IMAGE_BYTES)
            elif name.endswith((".txt", ".json")) and not caption:
                content = self._bytes(tar, offset, size, limit=MAX_CAPTION_BYTES)
                caption = parse_caption(content, name)
        if not image:
            raise DataError("no picture in the record", where=id)
        lineage = (Lineage(step="caption", model="given", revision="in the tar"),)
        return Sample.captioned(
            id=id,
            image=image,
            size_hw=image_size(image, where=id),
            caption=caption,
            lineage=lineage if caption else (),
        )

    def _bytes(self, tar: str, offset: int, size: int, *, limit: int) -> bytes:
        if size > limit:
            raise DataError("the member is too large", expected=f"at most {limit}", got=size)
        with open(self._root / tar, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def describe(self) -> dict[str, Any]:
        """What the dataset's description says of it."""
        return {"kind": "webdataset", "name": self._root.resolve().name}


def _iterate_members(path: Path) -> Iterator[Member]:
    """Every regular member's name, offset and size, from the headers alone."""
    try:
        with open_plain_tar(path) as archive:
            for info in archive:
                if info.isreg() and not info.issparse():  # whose content has holes
                    yield info.name, info.offset_data, info.size
    except tarfile.TarError as error:
        raise ConfigError(f"not a tar file ({error})", where=str(path)) from error


def _sample_key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]
