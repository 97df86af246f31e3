"""What of an SVG drawing would end the process that renders it, found before it is rendered.

The renderer allocates by the drawing's shape and recurses by its depth; neither can be caught.
"""

import re
from pathlib import Path
from typing import Any
from xml.parsers import expat

from diglot.core.errors import DataError

MAX_BYTES, MAX_DEPTH, MAX_RATIO = 8 << 20, 256, 16.0
# Pixels a unit of SVG; a share of the page, or of a font, is as good as not given.
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 3.78, "cm": 37.8, "in": 96.0}
_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-z%]*)\s*")


def check_drawing(path: Path) -> None:
    """Raises DataError for a file that is no XML, is too large or too deep, or shows a thread."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            raise _refuse(path, "is too large", f"at most {MAX_BYTES} bytes", size_bytes)
        _Depth(path).read()
    except (OSError, expat.ExpatError) as error:
        raise DataError(f"drawing cannot be read ({error})", where=str(path)) from error


class _Depth:
    """Goes through a drawing's elements; expat bounds what its entities grow to."""

    def __init__(self, path: Path) -> None:
        self._path, self._depth = path, 0

    def read(self) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._begin, self._end
        parser.Parse(self._path.read_bytes(), True)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if not self._depth:
            ratio = _find_ratio(attributes)
            if not 1 / MAX_RATIO <= ratio <= MAX_RATIO:
                expected = f"sides of at most 1 to {MAX_RATIO:.0f}"
                raise _refuse(self._path, "is a thread", expected, f"{ratio:.3g}")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            expected = f"at most {MAX_DEPTH} elements inside each other"
            raise _refuse(self._path, "is nested too deep", expected, "more")

    def _end(self, name: str) -> None:
        self._depth -= 1


def _refuse(path: Path, what: str, expected: str, got: object) -> DataError:
    return DataError(f"drawing {what}", expected=expected, got=got, where=str(path))


def _find_ratio(attributes: dict[str, Any]) -> float:
    """Height over width, by the root's attributes; 1 where they do not say."""
    box = [*re.split(r"[\s,]+", attributes.get("viewBox", "").strip()), "", "", "", ""][2:4]
    width, height = (
        _read_length(attributes.get(name, "")) or _read_length(side)
        for name, side in zip(("width", "height"), box, strict=True)
    )
    return height / width if width and height else 1.0


def _read_length(text: str) -> float:
    """Pixels; 0 where it is no length above 0 in a unit of its own."""
    found = _LENGTH.fullmatch(text)
    unit = _UNITS.get(found[2]) if found else None
    return max(float(found[1]) * unit, 0.0) if found and unit else 0.0
