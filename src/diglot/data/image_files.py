"""Pictures of a foreign dataset: found inside their folder, and written into a new one."""

import hashlib
import io
import os
import re
from collections import Counter
from pathlib import Path

from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.images import decode_image, picture_format, resolve_inside, stored_layout

_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
_SAFE = re.compile(r"(?!\.)[\w.,=+ -]{1,120}", re.ASCII)
_MAX_PARTS = 8


def find_image(folder: Path, name: object) -> Path:
    """The picture `name` in `folder`. Raises DataError where it is not there, or leads outside."""
    if not isinstance(name, str) or not name:
        raise DataError("no image in the record", expected="a path relative to the image folder")
    path = resolve_inside(folder, name)
    if not os.path.isfile(path):  # False, too, for a name that the system refuses
        raise DataError("no such image file", got=name, where=str(folder))
    return path


def check_folder(folder: Path, what: str) -> Path:
    """`folder` itself. Raises ConfigError where it is no folder."""
    if not folder.is_dir():
        raise ConfigError(f"no such folder of {what}", where=str(folder))
    return folder


class ImageWriter:
    """Writes pictures below `folder`, named by their sample's id, upright."""

    def __init__(self, folder: Path, lost: Counter[str]) -> None:
        self._folder, self._lost = folder, lost

    def write(self, image: bytes | Path, id: str, *, suffix: str = "", flat: bool = False) -> str:
        """Write one picture; returns its path relative to the folder.

        With `suffix` ".jpg" a picture of another format is encoded again; `flat` makes no folders.
        """
        data = image if isinstance(image, bytes) else image.read_bytes()
        orientation, _ = stored_layout(data, where=f"sample {id!r}")
        if orientation != 1:
            self._lost["images encoded again to be upright"] += 1
            data = _encode_upright(data, "PNG")
        if suffix and suffix != picture_suffix(data):
            self._lost[f"images encoded again as {suffix}"] += 1
            data = _encode_upright(data, "JPEG")
        name = file_stem(id.replace("/", "_") if flat else id) + picture_suffix(data)
        if not name.startswith(id):
            self._lost["ids that no file name holds"] += 1
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def write_all(self, sample: Sample) -> list[str]:
        """Write a sample's pictures; returns their paths in order."""
        many = len(sample.images) > 1
        ids = [f"{sample.id}-{n}" if many else sample.id for n in range(len(sample.images))]
        return [self.write(image, id) for image, id in zip(sample.images, ids, strict=True)]


def _encode_upright(data: bytes, kind: str) -> bytes:
    """The picture upright in another format; readers of other formats mostly ignore EXIF."""
    buffer = io.BytesIO()
    decode_image(data).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def file_stem(id: str) -> str:
    """A path for `id` without suffix: itself where its parts are safe, else a digest."""
    parts = id.split("/")
    if len(parts) <= _MAX_PARTS and all(_SAFE.fullmatch(part) for part in parts):
        return id
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def picture_suffix(data: bytes) -> str:
    """The file suffix of an encoded picture."""
    return _SUFFIX.get(picture_format(data), ".png")
