"""A folder of pictures, with captions beside them: `dog.jpg` and `dog.txt` or `dog.json`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.types import Lineage, Sample
from diglot.data.images import SUFFIXES, image_size, resolve_inside
from diglot.files import readable_name
from diglot.synth.step import Dropped

MAX_CAPTION_BYTES = 1_000_000


class FolderSource:
    """Pictures below `root`, subfolders too, by name. An id is a path below the root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def rejections(self) -> tuple[()]:
        """None: what is wrong with an item shows when it is read."""
        return ()

    def list_items(self) -> Iterator[str]:
        """Paths below the root, one folder at a time, hidden ones left out."""
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    yield (Path(folder) / name).relative_to(self._root).as_posix()

    def read_item(self, item: str) -> Sample | Dropped:
        """The picture with its caption, "" where none lies beside it."""
        id = readable_name(item)
        try:
            path = resolve_inside(self._root, item)
            size_hw = image_size(path, where=id)
            caption = read_caption(path)
        except DataError as error:
            return Dropped.from_error(id, error)
        lineage = (Lineage(step="caption", model="given", revision="beside the image"),)
        return Sample.captioned(
            id=id,
            image=path,
            size_hw=size_hw,
            caption=caption,
            lineage=lineage if caption else (),
        )

    def describe(self) -> dict[str, Any]:
        """What the dataset's description says of it."""
        return {"kind": "folder", "name": self._root.resolve().name}


def read_caption(picture: Path) -> str:
    """The caption beside a picture, or "". Raises DataError for a file that holds none."""
    for path in (picture.with_suffix(".txt"), picture.with_suffix(".json")):
        if path.is_file():
            if path.stat().st_size > MAX_CAPTION_BYTES:
                raise DataError("the caption's file is too large", where=path.name)
            return parse_caption(path.read_bytes(), path.name)
    return ""


def parse_caption(content: bytes, name: str) -> str:
    """The caption in the bytes of a .txt or .json file. Raises DataError naming the file."""
    try:
        text = content.decode("utf-8-sig")
        if not name.endswith(".json"):
            return " ".join(text.split())
        fields = json.loads(text)
        caption = fields.get("caption", fields.get("text")) if isinstance(fields, dict) else None
    except ValueError as error:
        raise DataError("the caption cannot be read", got=str(error), where=name) from error
    if not isinstance(caption, str):
        raise DataError("no caption in the file", expected='{"caption": "..."}', where=name)
    return " ".join(caption.split())
