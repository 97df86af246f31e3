"""Fonts that can draw the set's text: found in folders, checked by drawing, grouped by family."""

import functools
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

from diglot.core.errors import ConfigError
from diglot.synth.text_pairs.latin import bundled_folder, draws_latin, plain_font

SUFFIXES = (".ttf", ".otf", ".ttc")
MIN_FAMILIES = 3
_TOO_THIN = ("hairline", "thin", "extralight", "extra light", "ultralight")
_BOLD = ("bold", "black", "heavy", "demi")
_FIX = (
    "Install the Debian packages fonts-dejavu, fonts-liberation and fonts-noto-core, "
    "or name a folder of TTF or OTF files with --fonts."
)


@dataclass(frozen=True, kw_only=True)
class Face:
    """One style of a family in one file."""

    family: str
    style: str
    path: Path
    sha256: str

    @property
    def bold(self) -> bool:
        """Whether its style's name says that it is heavy."""
        return any(word in self.style.lower() for word in _BOLD)

    def at(self, size_px: int) -> ImageFont.FreeTypeFont:
        """The font at a size."""
        return _load_font(self.path, size_px)


@dataclass(frozen=True)
class Family:
    """The faces of one design, sorted by style."""

    name: str
    faces: tuple[Face, ...]


def system_folders() -> list[Path]:
    """The usual font folders of this system that exist, matplotlib's own first."""
    home = Path.home()
    usual = [bundled_folder()]
    if sys.platform == "darwin":
        usual += [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        usual += [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    else:
        usual += [Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]
        usual += [home / ".local/share/fonts", home / ".fonts"]
    return [folder for folder in usual if folder.is_dir()]


def find_families(folders: Sequence[Path] = ()) -> tuple[Family, ...]:
    """Families in `folders` (those of the system if none are named), sorted by name.

    A face counts if it draws Latin text; of several files with one name, or one content, the
    first is taken. Raises ConfigError for a folder that does not exist, and where fewer than
    three families are found.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError("no such folder of fonts", got=str(folder), where="--fonts")
    searched = list(folders) or system_folders()
    faces = {}
    for path in _font_files(searched):
        face = _read_face(path)
        if face is not None:
            faces.setdefault((face.family, face.style), face)
    names = sorted({family for family, _ in faces})
    if len(names) < MIN_FAMILIES:
        raise ConfigError(
            "too few font families to draw every text in two of them",
            expected=f"at least {MIN_FAMILIES} with Latin letters",
            got=", ".join(names) or "none",
            where=", ".join(map(str, searched)),
            fix=_FIX,
        )
    return tuple(
        Family(name, tuple(faces[key] for key in sorted(faces) if key[0] == name)) for name in names
    )


def fonts_digest(families: Iterable[Family]) -> str:
    """A digest of every face's file: the same fonts draw the same set, wherever they lie."""
    lines = [f"{f.name}|{face.style}|{face.sha256}\n" for f in families for face in f.faces]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=1024)
def _load_font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return plain_font(path, size_px)


def _font_files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _read_face(path: Path) -> Face | None:
    if not draws_latin(path):
        return None
    family, style = plain_font(path, 16).getname()
    style = style or "Regular"
    if not family or any(word in style.lower() for word in _TOO_THIN):
        return None
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Face(family=family, style=style, path=path, sha256=sha256)
