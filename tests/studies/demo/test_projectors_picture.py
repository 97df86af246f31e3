"""README's first picture, the figures kept beside it, and what README says of them, are one run."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from diglot.report.axes import format_value
from diglot.studies.demo.sizes import SIZES
from tests.studies.demo.test_projectors import PROJECTORS

ROOT = Path(__file__).parents[3]
FIGURES = ROOT / "docs" / "three_projectors.json"
PICTURE = FIGURES.with_suffix(".png")


def read_figures() -> dict[str, Any]:
    """What stands beside the picture."""
    return json.loads(FIGURES.read_text())


def readme_paragraph() -> str:
    """What README says of its first picture, in one line."""
    text = (ROOT / "README.md").read_text().partition("(docs/three_projectors.png)")[2]
    return " ".join(text.partition("```")[0].split())


def shown_values(figures: dict[str, Any], key: str) -> str:
    """A measure's values in the runs' order, as the page writes them."""
    measure = next(m for m in figures["measures"] if m["key"] == key)
    first, second, third = (format_value(measure["results"][run]["value"]) for run in PROJECTORS)
    return f"{first}, {second} and {third}"


def test_the_picture_is_of_the_figures_beside_it() -> None:
    with Image.open(PICTURE) as picture:
        assert picture.info["figures"] == hashlib.sha256(FIGURES.read_bytes()).hexdigest()


def test_readme_says_what_the_figures_are() -> None:
    figures, said = read_figures(), readme_paragraph()
    for key, name in (
        ("entropy_drop", "Entropy drop"),
        ("align", "Align"),
        ("label_cosine", "cosine"),
    ):
        assert f"{name} {shown_values(figures, key)}" in said


def test_readme_names_the_run() -> None:
    figures, said = read_figures(), readme_paragraph()
    size = SIZES["full"]
    assert figures["settings"]["command"].startswith("diglot demo --study projectors --size full")
    assert figures["settings"]["seed"] == "0"
    assert f"{size.train_scenes} composed scenes" in said
    assert f"{size.test_scenes} held-out scenes" in said
    assert next(m for m in figures["measures"] if m["key"] == "tacs")["results"]["caption"][
        "n"
    ] == (size.test_scenes)


def test_subtokens_that_readme_names_are_in_the_picture() -> None:
    runs = read_figures()["scene"]["runs"]
    found = {text.strip() for text in runs["patch_aligned"]["subtokens"]}
    named = set(re.findall(r"`(\w+)`", readme_paragraph()))
    assert named
    assert named <= found
