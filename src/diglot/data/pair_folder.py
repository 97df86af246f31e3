"""Pairs on disk: `pairs.json` says how they were made, `pairs.jsonl` holds one a line, `images/`.

A line is {"id", "category", "groups", "box": xyxy, "visible": [bool], "source" and "target":
{"image": path inside the folder, "size_hw", "points": [xy]}, "digest": SHA-256 of all of these and
of both pictures' bytes}. Lines of earlier versions have no digest and are not checked.

Not written by `data/shard_writer`: a pair is kept as soon as it is added, and its pictures are
files that people open; a shard holds many rows and is there only once it is full.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diglot.core.errors import DataError
from diglot.data.images import resolve_inside
from diglot.data.pairs import Pair, PairImage, points_array
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import (
    FileDigests,
    append_lines,
    check_own_folder,
    check_same_settings,
    check_writable,
    file_sha256,
    lock_file,
    read_lines,
    remove_left_overs,
    replace_file,
    replace_text,
)

LINES, MANIFEST, IMAGES = "pairs.jsonl", "pairs.json", "images"
Digests = Mapping[str, str]  # SHA-256 by a picture's path in the folder
_FORMAT, _VERSION = "diglot pairs", 1
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class PairWriter:
    """Appends pairs to a folder; use as a context manager. A killed writer resumes.

    `ids` holds what is there. `info` is how the pairs are made (seed, settings; anything JSON): a
    folder made with another is refused with ConfigError.
    """

    def __init__(self, folder: Path, *, info: Mapping[str, Any]) -> None:
        self.folder, self.ids = folder, list[str]()
        self._info = json.loads(json.dumps(info))
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "PairWriter":
        with contextlib.ExitStack() as stack:
            with check_writable(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock_file(self.folder / ".pairs.lock", wait=False))
            check_own_folder(self.folder, marker=MANIFEST, beside=(REJECTED,))
            self._check_manifest()
            (self.folder / IMAGES).mkdir(exist_ok=True)
            remove_left_overs(self.folder / MANIFEST)
            for left_over in (self.folder / IMAGES).glob(".*.tmp"):  # of a writer that was killed
                left_over.unlink()
            (self.folder / LINES).touch()
            lines = read_lines(self.folder / LINES)
            digests = _find_digests(self.folder, lines)
            self.ids = [self._take_line(n, line, digests) for n, line in enumerate(lines, start=1)]
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _take_line(self, number: int, line: bytes, digests: Digests) -> str:
        """The id of a pair that is there. Raises DataError where it is not as it was written."""
        try:
            fields = _parse_line(line)
            _check_digest(self.folder, fields, digests)
            return str(fields["id"])
        except (DataError, OSError, KeyError, TypeError) as error:
            raise DataError(
                f"a pair is not as it was written ({error})",
                where=f"{self.folder / LINES}:{number}",
                fix="Put a copy of the file back, or delete the folder and run again.",
            ) from error

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, pair: Pair) -> None:
        """Write the pair, whose pictures are bytes. Raises DataError for an id that names no file.

        The pictures go first, so that a line on disk never lacks them.
        """
        if not _ID.fullmatch(pair.id):
            raise DataError("id cannot name a file", expected=_ID.pattern, got=pair.id)
        sides = {}
        for name, side in (("source", pair.source), ("target", pair.target)):
            sides[name] = {
                "image": self._write_image(f"{pair.id}-{name}", side.image),
                "size_hw": list(side.size_hw),
                "points": side.points_K2.tolist(),
            }
        fields = {"id": pair.id, "category": pair.category, "groups": list(pair.groups)}
        fields |= {"box": list(pair.box), "visible": pair.visible_K.tolist(), **sides}
        fields["digest"] = _digest_pair(self.folder, fields, {})
        append_lines(self.folder / LINES, [json.dumps(fields)])
        self.ids.append(pair.id)

    def _write_image(self, stem: str, image: bytes | Path) -> str:
        if isinstance(image, Path):
            raise DataError("a written pair holds its pictures", expected="bytes", where=stem)
        suffix = ".png" if image.startswith(b"\x89PNG") else ".jpg"
        inside = f"{IMAGES}/{stem}{suffix}"
        with replace_file(self.folder / inside) as temporary:
            temporary.write_bytes(image)
        return inside

    def open_rejected(self) -> Rejected:
        """The folder's list of pairs that could not be made, begun anew where none was."""
        path = self.folder / REJECTED
        return Rejected(path) if self.ids else Rejected.begin(path)

    def _check_manifest(self) -> None:
        """Whoever made no pair there binds nobody."""
        path, lines, images = (self.folder / name for name in (MANIFEST, LINES, IMAGES))
        before = read_info(self.folder) if path.exists() else None
        any_pair = (lines.exists() and lines.stat().st_size) or any(images.glob("[!.]*"))
        if before is not None and any_pair:
            check_same_settings("set of pairs", before, self._info, path)
            return
        fields = {"format": _FORMAT, "format_version": _VERSION, "info": self._info}
        replace_text(path, json.dumps(fields, indent=1, sort_keys=True) + "\n")


def read_info(folder: Path) -> dict[str, Any]:
    """How the pairs of a folder were made. Raises DataError where `pairs.json` is not ours."""
    path = folder / MANIFEST
    try:
        fields = json.loads(path.read_text("utf-8"))
        fine = fields["format"] == _FORMAT and fields["format_version"] <= _VERSION
        info = dict(fields["info"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("not a description of pairs", where=str(path)) from error
    if not fine:
        raise DataError(
            "pairs of another format",
            expected=f"{_FORMAT}, version up to {_VERSION}",
            got=f"{fields['format']}, version {fields['format_version']}",
            where=str(path),
        )
    return info


def read_pairs(folder: Path, rejected: Rejected) -> list[Pair]:
    """The pairs of a folder, in order; a broken line goes to `rejected` with its reason.

    A torn last line, of a writer still at work or killed, is passed over.
    Raises DataError where the folder has no pairs of ours.
    """
    read_info(folder)
    path = folder / LINES
    content = path.read_bytes() if path.exists() else b""
    lines, pairs = content.split(b"\n")[:-1], list[Pair]()
    digests = _find_digests(folder, lines)
    for number, line in enumerate(lines, start=1):
        where = f"{path.name}:{number}"
        try:
            pairs.append(_read_pair(folder, _parse_line(line), digests))
        except DataError as error:
            rejected.add(where, error.what, where=error.where or where, detail=str(error))
        except OSError as error:  # a name that no file can have
            rejected.add(where, f"cannot be read: {error.strerror}", where=where)
    return pairs


def _parse_line(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise DataError("line is no JSON") from error
    if not isinstance(fields, dict):
        raise DataError("line is no record", got=f"{fields!r:.80}")
    return fields


def _find_digests(folder: Path, lines: Iterable[bytes]) -> dict[str, str]:
    """SHA-256 of the pictures that lines name, each read once as long as it is not touched.

    Those of bad lines, and pictures that are not there, are left out: reading the line says why.
    """
    names = dict[str, None]()
    for line in lines:
        with contextlib.suppress(DataError, OSError, KeyError, TypeError):
            fields = _parse_line(line)
            named = [fields[side]["image"] for side in ("source", "target")]
            if "digest" in fields and all(resolve_inside(folder, n).is_file() for n in named):
                names |= dict.fromkeys(named)
    with contextlib.suppress(OSError):
        return dict(zip(names, FileDigests(folder).find(*names), strict=True))
    return {}


def _digest_pair(folder: Path, fields: Mapping[str, Any], digests: Digests) -> str:
    """Names a pair's line and its pictures, whose digests are read where they are not given."""
    rest = {key: value for key, value in fields.items() if key != "digest"}
    names = [fields[side]["image"] for side in ("source", "target")]
    content = [rest, *(digests.get(n) or file_sha256(resolve_inside(folder, n)) for n in names)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_digest(folder: Path, fields: Mapping[str, Any], digests: Digests) -> None:
    """Raises DataError where a line or a picture of it was changed; OSError where one is gone."""
    if "digest" in fields and fields["digest"] != _digest_pair(folder, fields, digests):
        names = ", ".join(str(fields[side]["image"]) for side in ("source", "target"))
        raise DataError("the line or a picture of it was changed", where=names)


def _read_pair(folder: Path, fields: dict[str, Any], digests: Digests) -> Pair:
    try:
        x0, y0, x1, y1 = (float(v) for v in fields["box"])
        pair = Pair(
            id=str(fields["id"]),
            category=str(fields["category"]),
            groups=tuple(str(group) for group in fields.get("groups", ())),
            source=_read_side(folder, fields["source"]),
            target=_read_side(folder, fields["target"]),
            box=(x0, y0, x1, y1),
            visible_K=np.asarray(fields["visible"], bool).reshape(-1),
        )
        _check_digest(folder, fields, digests)
        return pair
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"record is not whole ({type(error).__name__}: {error})",
            where=f"pair {fields.get('id')!r}",
        ) from error


def _read_side(folder: Path, fields: dict[str, Any]) -> PairImage:
    height, width = fields["size_hw"]
    path = resolve_inside(folder, fields["image"])
    if not path.is_file():
        raise DataError("no such picture", where=str(path))
    size_hw = (int(height), int(width))
    return PairImage(image=path, size_hw=size_hw, points_K2=points_array(fields["points"]))
