"""The boxes of one image of Flickr30k Entities, as XML."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from diglot.core.errors import DataError
from diglot.core.types import Box, SizeHW

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_annotation(content: bytes) -> tuple[SizeHW, dict[str, list[Box]]]:
    """(height, width) and the boxes of every entity. Raises DataError for anything else.

    A document type, which could name other files or grow without end, is refused.
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise DataError("XML with a document type is refused")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise DataError("not XML", got=str(error)) from error
    boxes: dict[str, list[Box]] = {}
    for found in root.iterfind("object"):
        box = found.find("bndbox")
        for name in found.iterfind("name"):
            if box is not None and name.text:
                boxes.setdefault(name.text.strip(), []).append(_read_box(box))
    return (_read_number(root, "size/height"), _read_number(root, "size/width")), boxes


def _read_box(box: ElementTree.Element) -> Any:
    return tuple(float(_read_number(box, side)) for side in _SIDES)


def _read_number(element: ElementTree.Element, path: str) -> int:
    text = element.findtext(path)
    if text is None:
        raise DataError(f"field {path!r} is missing")
    return round(float(text))


def write_annotation(name: str, size_hw: SizeHW, entities: Mapping[str, list[Box]]) -> str:
    """The XML of one image; boxes are whole pixels, as everywhere in this format."""
    lines = [f"<annotation>\n<filename>{escape(name)}</filename>"]
    height, width = size_hw
    lines += [f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"]
    for entity, boxes in entities.items():
        for box in boxes:
            sides = "".join(f"<{s}>{round(v)}</{s}>" for s, v in zip(_SIDES, box, strict=True))
            lines += [f"<object><name>{entity}</name><bndbox>{sides}</bndbox></object>"]
    return "\n".join([*lines, "</annotation>\n"])
