"""Where the objects of a scene come from: pools of named pictures."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from diglot.core.errors import ConfigError, DataError
from diglot.data.images import SUFFIXES, decode_rgba, image_size
from diglot.files import readable_name
from diglot.synth.scenes.drawings import check_drawing

Side = Literal["train", "test"]
Labelled = tuple[np.ndarray, np.ndarray, Sequence[str]]
RENDER_PX = 256  # drawings are rendered once at this size, then scaled


class Pool(Protocol):
    """Named pictures. A picture's key is "<side>/<id>", side "all" where no picture is held out."""

    name: str
    share: float | None  # of a scene's objects; None: what the others leave, by count of names
    drawn: bool  # drawings may be tinted, photographs not

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds it has pictures of, sorted."""
        ...

    def pictures(self, name: str, side: Side) -> Sequence[str]:
        """Keys of the pictures of `name` that this side may use; never empty."""
        ...

    def render(self, key: str, size_px: int) -> Image.Image:
        """The picture as RGBA, its visible part's longest side `size_px`."""
        ...


class ArrayPool:
    """Photographs in arrays, such as CIFAR-10's: enlarged smoothly, with soft round corners."""

    drawn = False

    def __init__(
        self, name: str, sides: Mapping[Side, Labelled], *, share: float | None = None
    ) -> None:
        """`sides`: (images uint8 (N, h, w, 3), labels int (N,), names) for train and for test."""
        self.name, self.share = name, share
        self._images = {side: images for side, (images, _, _) in sides.items()}
        self._keys: dict[tuple[str, str], list[str]] = {}
        for side, (_, labels, names) in sides.items():
            for label, kind in enumerate(names):
                found = np.flatnonzero(np.asarray(labels) == label)
                self._keys[kind, side] = [f"{side}/{number:05d}" for number in found]
        empty = [kind for kind, keys in self._keys.items() if not keys]
        if empty:
            raise ConfigError(f"pool {name}: no {empty[0][1]} picture of {empty[0][0]!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds it has pictures of, sorted."""
        return tuple(sorted({kind for kind, _ in self._keys}))

    def pictures(self, name: str, side: Side) -> Sequence[str]:
        """Keys of the pictures of `name` on this side."""
        return self._keys[name, side]

    def render(self, key: str, size_px: int) -> Image.Image:
        """The photograph as RGBA, its longest side `size_px`."""
        side, number = key.split("/")
        photo = Image.fromarray(np.asarray(self._images[side][int(number)]))
        return round_corners(scale_picture(photo, size_px))


class SvgPool:
    """Drawings in SVG files, one per name, on transparent ground."""

    drawn = True

    def __init__(self, name: str, files: Mapping[str, Path], *, share: float | None = None) -> None:
        self.name, self.share = name, share
        self._files = dict(files)

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds it has drawings of, sorted."""
        return tuple(sorted(self._files))

    def pictures(self, name: str, side: Side) -> Sequence[str]:
        """The one drawing of `name`: drawings have no unseen instances."""
        return [f"all/{name}"]

    def render(self, key: str, size_px: int) -> Image.Image:
        """The drawing as RGBA, cut to what shows. Raises DataError for a broken one."""
        return scale_picture(render_svg(self._files[key.removeprefix("all/")]), size_px)


class FolderPool:
    """The user's own pictures: a subfolder's name, or else a file's stem, says what they show.

    Of a name with two pictures or more every fifth, at least one, is held out of training.
    `rejected` lists what could not be used, with its reason.
    """

    drawn = False

    def __init__(self, root: Path, *, name: str = "own", share: float | None = None) -> None:
        if not root.is_dir():
            raise ConfigError("no such folder of pictures", got=str(root))
        self.name, self.share = name, share
        self.rejected: list[tuple[str, str]] = []
        self._files: dict[str, Path] = {}
        self._keys: dict[tuple[str, str], list[str]] = {}
        for kind, paths in sorted(_named_pictures(root).items()):
            self._add(kind, [path for path in paths if self._usable(path)], root)
        if not self._keys:
            raise ConfigError(
                "no usable picture in the folder",
                expected="subfolders named for what their pictures show, or pictures named so",
                got=f"{len(self.rejected)} unreadable pictures" if self.rejected else "none",
                where=str(root),
            )

    def _usable(self, path: Path) -> bool:
        try:
            image_size(path)
        except DataError as error:
            self.rejected.append((str(path), error.what))
            return False
        return True

    def _add(self, kind: str, paths: list[Path], root: Path) -> None:
        held = {
            i
            for i in range(len(paths))
            if len(paths) > 1 and (i % 5 == 4 or (i == 1 and len(paths) < 5))
        }
        for index, path in enumerate(paths):
            sides = (
                ("train", "test") if len(paths) == 1 else ("test" if index in held else "train",)
            )
            key = f"{'all' if len(paths) == 1 else sides[0]}/{path.relative_to(root).as_posix()}"
            self._files[key] = path
            for side in sides:
                self._keys.setdefault((kind, side), []).append(key)

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds it has pictures of, sorted."""
        return tuple(sorted({kind for kind, _ in self._keys}))

    def pictures(self, name: str, side: Side) -> Sequence[str]:
        """Keys of the pictures of `name` on this side."""
        return self._keys[name, side]

    def render(self, key: str, size_px: int) -> Image.Image:
        """The picture as RGBA: as it is where it has transparency, with round corners if not.

        Raises DataError for a picture that cannot be decoded or shows nothing.
        """
        picture = _decode_picture(self._files[key])
        scaled = scale_picture(picture, size_px)
        return scaled if scaled.mode == "RGBA" else round_corners(scaled)


def _named_pictures(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            inside = path.relative_to(root)
            word = inside.parts[0] if len(inside.parts) > 1 else path.stem
            kind = " ".join(readable_name(word).replace("_", " ").replace("-", " ").split())
            if kind:
                found.setdefault(kind, []).append(path)
    return found


@lru_cache(maxsize=256)
def _decode_picture(path: Path) -> Image.Image:
    picture = decode_rgba(path)
    picture.thumbnail((512, 512))
    return _cut_margins(picture, where=str(path)) if picture.mode == "RGBA" else picture


@lru_cache(maxsize=512)
def render_svg(path: Path) -> Image.Image:
    """A drawing as RGBA, its longest side RENDER_PX, cut to what is not transparent.

    Raises DataError for a file that is no SVG, shows nothing or would end the process.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise ConfigError("drawings need resvg_py", fix="pip install 'diglot[demo]'") from error
    check_drawing(path)
    try:
        png = resvg_py.svg_to_bytes(svg_path=str(path), width=RENDER_PX, skip_system_fonts=True)
        picture = Image.open(BytesIO(png), formats=["PNG"]).convert("RGBA")
    except (ValueError, OSError) as error:
        raise DataError(f"drawing cannot be rendered ({error})", where=str(path)) from error
    return _cut_margins(picture, where=str(path))


def _cut_margins(picture: Image.Image, *, where: str) -> Image.Image:
    box = picture.getchannel("A").point([255 * (alpha >= 128) for alpha in range(256)]).getbbox()
    if box is None:
        raise DataError("picture is fully transparent", where=where)
    return picture.crop(box)


def scale_picture(picture: Image.Image, size_px: int) -> Image.Image:
    factor = size_px / max(picture.size)
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def round_corners(photo: Image.Image) -> Image.Image:
    """The photograph as RGBA, with soft round corners; it is changed in place."""
    photo.putalpha(_soft_corners(photo.size))
    return photo


@lru_cache(maxsize=512)
def _soft_corners(size_wh: tuple[int, int]) -> Image.Image:
    width, height = size_wh
    soft = max(1.0, min(size_wh) / 64)
    alpha = Image.new("L", size_wh, 0)
    edge = round(soft)
    ImageDraw.Draw(alpha).rounded_rectangle(
        (edge, edge, width - 1 - edge, height - 1 - edge), radius=min(size_wh) / 8, fill=255
    )
    return alpha.filter(ImageFilter.GaussianBlur(soft))
