"""Hostile drawings are refused before they are rendered: two of these ended the process."""

from pathlib import Path

import pytest

from diglot.core.errors import DataError
from diglot.synth.scenes.drawings import check_drawing

XMLNS = 'xmlns="http://www.w3.org/2000/svg"'
ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "thread": (f'<svg {XMLNS} width="1" height="1e7"/>', "is a thread; .*got 1e"),
    "thread by its box": (f'<svg {XMLNS} viewBox="0,0 9000 1"/>', "is a thread"),
    "thread of units": (f'<svg {XMLNS} width="1pt" height="1in"/>', "is a thread; .*got 72"),
    "deep": (f"<svg {XMLNS}>" + "<g>" * 9999 + "</g>" * 9999 + "</svg>", "is nested too deep"),
    "large": (f"<svg {XMLNS}>" + " " * (8 << 20) + "</svg>", "is too large"),
    "entities": (
        f'<!DOCTYPE svg [<!ENTITY l0 "{"x" * 99}">{ENTITIES}]><svg {XMLNS}>&l9;</svg>',
        "cannot be read .*amplification",
    ),
    "torn": (f"<svg {XMLNS}><g>", "cannot be read"),
    "empty": ("", "cannot be read"),
}
GOOD = [
    f'<svg {XMLNS} viewBox="0 0 32 32"><g/></svg>',
    f'<svg {XMLNS} width="100%" height="2em" viewBox="0 0 32 64"/>',
    f'<svg {XMLNS} width="12mm" height="4.5e1px"/>',
    f"<svg {XMLNS}/>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_end_the_process_is_named(tmp_path: Path, name: str) -> None:
    text, message = HOSTILE[name]
    path = tmp_path / "drawing.svg"
    path.write_text(text)
    with pytest.raises(DataError, match=f"drawing.svg: drawing {message}"):
        check_drawing(path)


@pytest.mark.parametrize("text", GOOD)
def test_others_pass(tmp_path: Path, text: str) -> None:
    path = tmp_path / "drawing.svg"
    path.write_text(text)
    check_drawing(path)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        check_drawing(tmp_path / "none.svg")
