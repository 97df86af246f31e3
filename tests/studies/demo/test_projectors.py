"""The page of three projectors, at its tiny size, and again from what it left."""

import json
from pathlib import Path

import pytest

from diglot.report.schema import read_report
from tests.cli_runner import run_diglot

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

PROJECTORS = ("random", "caption", "patch_aligned")


def test_three_projectors_stand_side_by_side(tmp_path: Path) -> None:
    out = tmp_path / "study"
    command = ["demo", "--study", "projectors", "--size", "tiny", "--out", str(out)]
    assert run_diglot(*command) == 0
    report = read_report(json.loads((out / "report.json").read_text()))
    assert report.runs == PROJECTORS
    for key in ("align", "label_cosine", "entropy_drop", "attention_mass"):
        measure = next(m for m in report.measures if m.key == key)
        assert all(measure.results[run].score.value is not None for run in PROJECTORS)
    for example in report.examples:
        assert tuple(example.details) == PROJECTORS
        assert all(d.masks and d.pursuit and d.attention for d in example.details.values())
    page = (out / "report.html").read_bytes()
    assert run_diglot(*command) == 0
    assert (out / "report.html").read_bytes() == page
