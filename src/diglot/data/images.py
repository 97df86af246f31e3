"""Pictures from anywhere, decoded with care: small before they are read, upright, three channels.

Pixels are what Hugging Face `datasets` shows for the same bytes: the EXIF orientation is applied.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from diglot.core.errors import DataError
from diglot.core.types import SizeHW
from diglot.files import explain_missing

MAX_PIXELS = 64_000_000
# Raster formats that Pillow reads by itself; EPS, for one, would start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif")
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap height and width


def decode_image(
    image: bytes | Path, *, max_pixels: int = MAX_PIXELS, where: str = ""
) -> Image.Image:
    """The picture as RGB, upright, the first of several frames; transparency becomes white.

    Raises DataError, naming `where`, for bytes that are no whole picture of a known format, or a
    picture whose declared size is over `max_pixels` (checked in its header, before decoding).
    """
    rgba = decode_rgba(image, max_pixels=max_pixels, where=where)
    if rgba.mode == "RGB":
        return rgba
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def decode_rgba(
    image: bytes | Path, *, max_pixels: int = MAX_PIXELS, where: str = ""
) -> Image.Image:
    """As `decode_image`, but a picture with transparency stays RGBA; any other is RGB."""
    with _open_image(image, max_pixels=max_pixels, where=where) as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return _eight_bits(upright, where)


def image_size(image: bytes | Path, *, max_pixels: int = MAX_PIXELS, where: str = "") -> SizeHW:
    """(height, width) of the upright picture, mostly from its header alone.

    Raises DataError as `decode_image` does, but a picture cut off after its header passes.
    """
    with _open_image(image, max_pixels=max_pixels, where=where) as picture:
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation) in _TURNED
    return (width, height) if turned else (height, width)


def stored_layout(
    image: bytes | Path, *, max_pixels: int = MAX_PIXELS, where: str = ""
) -> tuple[int, SizeHW]:
    """EXIF orientation (1 to 8; 1 where none is given) and (height, width) of the stored pixels.

    Raises DataError as `image_size` does.
    """
    with _open_image(image, max_pixels=max_pixels, where=where) as picture:
        width, height = picture.size
        found = picture.getexif().get(ExifTags.Base.Orientation)
    orientation = found if isinstance(found, int) and 1 <= found <= 8 else 1
    return orientation, (height, width)


def picture_format(image: bytes | Path, *, max_pixels: int = MAX_PIXELS, where: str = "") -> str:
    """Pillow's name of the picture's format ("JPEG"). Raises DataError as `image_size` does."""
    with _open_image(image, max_pixels=max_pixels, where=where) as picture:
        return picture.format or ""


def open_picture(path: Path) -> Image.Image:
    """A picture that the user named, as `decode_image` reads it. Raises DataError naming it."""
    if not path.is_file():
        reason = explain_missing(path)
        raise DataError(f"cannot read the picture: {reason}", where=str(path))
    try:
        return decode_image(path)
    except DataError as error:
        message = f"cannot read the picture: {error.message}"
        raise DataError(message, where=str(path)) from error


def resolve_inside(root: Path, relative: str | Path) -> Path:
    """`root / relative` with links followed, proven to lie inside `root`.

    Raises DataError for an absolute path, one that climbs out, or a link that leads out.
    """
    inside = root.resolve()
    try:
        found = (inside / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # link loops, null bytes
        raise _escape_error(relative, inside) from error
    if Path(relative).is_absolute() or not found.is_relative_to(inside):
        raise _escape_error(relative, inside)
    return found


def _escape_error(relative: str | Path, root: Path) -> DataError:
    return DataError(
        "path leaves its folder", expected=f"a relative path inside {root}", got=repr(str(relative))
    )


@contextmanager
def _open_image(image: bytes | Path, *, max_pixels: int, where: str) -> Iterator[Image.Image]:
    where = where or (str(image) if isinstance(image, Path) else "")
    try:
        source = io.BytesIO(image) if isinstance(image, bytes) else image
        with Image.open(source, formats=FORMATS) as picture:
            _check_size(picture, max_pixels, where)
            yield picture
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            "not a picture", expected=" or ".join(FORMATS), where=where or None
        ) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, of 179 million
        raise DataError(
            "picture is too large to decode",
            expected=f"1 to {max_pixels} pixels",
            got=str(error).partition(")")[0].partition("(")[2],
            where=where or None,
        ) from error
    except FileNotFoundError as error:
        raise DataError("no such picture file", where=where or None) from error
    except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
        raise DataError(
            "picture cannot be read", got=f"{type(error).__name__}: {error}", where=where or None
        ) from error


def _check_size(picture: Image.Image, max_pixels: int, where: str) -> None:
    width, height = picture.size
    if width < 1 or height < 1 or width * height > max_pixels:
        raise DataError(
            "picture is too large to decode" if width * height else "picture is empty",
            expected=f"1 to {max_pixels} pixels",
            got=f"{height} x {width}",
            where=where or None,
        )


def _eight_bits(picture: Image.Image, where: str) -> Image.Image:
    """RGB, or RGBA where the picture has transparency. 16-bit greys keep their top 8 bits."""
    if picture.mode.startswith("I"):
        grey = np.clip(np.asarray(picture).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise DataError(
            "picture has floating-point pixels",
            expected="8 or 16 bits a channel",
            where=where or None,
        )
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
