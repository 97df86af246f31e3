"""Which marks around and between views a stock processor can write."""

from diglot.core.view_marks import ViewMarks
from diglot.models.export.design import Design

TEXTS = ("start", "image", "tile", "row_end", "thumbnail", "view_end", "end")


def marks_of(design: Design) -> ViewMarks:
    """The design's marks, all empty where it has none."""
    return (design.preprocess and design.preprocess.marks) or ViewMarks()


def mark_misfits(
    design: Design, *, allowed: tuple[str, ...], required: tuple[str, ...] = ()
) -> list[str]:
    """Marks that the processor does not write, and marks without which it cannot be."""
    marks = marks_of(design)
    reasons = [
        f"preprocess.marks.{name} {getattr(marks, name)!r}: it writes nothing there"
        for name in TEXTS
        if name not in allowed and getattr(marks, name)
    ]
    lacking = [name for name in required if not getattr(marks, name)]
    if lacking:
        reasons.append(f"preprocess.marks: it always writes a token at {' and '.join(lacking)}")
    return reasons
