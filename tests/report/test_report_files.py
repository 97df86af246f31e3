"""The figures and numbers of a page as files."""

import csv
import json
from pathlib import Path
from typing import Any
from xml.dom import minidom

from PIL import Image

from diglot.report.numbers import write_numbers
from diglot.report.page import write_report
from diglot.report.schema import read_report
from diglot.report.static import write_static
from tests.report.drawn_details import LAYERS

FIGURES = ("cosines", "words", "masks", "pursuit", "attention")  # of a picture


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_are_those_of_the_report(detailed_data: dict[str, Any], tmp_path: Path) -> None:
    detailed_data["examples"][0]["token_details"]["caption"]["words"][0][0][0] = "=1+1"
    write_numbers(read_report(detailed_data), detailed_data, tmp_path)
    again = write_report(json.loads((tmp_path / "report.json").read_text()), tmp_path / "a.html")
    first = write_report(detailed_data, tmp_path / "b.html")
    assert again.read_bytes() == first.read_bytes()
    measures = rows_of(tmp_path / "measures.csv")
    found = [m for m in measures if (m["key"], m["run"], m["group"]) == ("iou", "code_switch", "")]
    assert [float(m["value"]) for m in found] == [0.31]
    assert next(m for m in measures if m["key"] == "iou" and m["run"] == "caption")["value"] == ""
    tokens = rows_of(tmp_path / "tokens.csv")
    assert len(tokens) == 2 * 2 * 49
    assert tokens[0]["word"] == "'=1+1"
    assert tokens[49 + 3]["pursuit"] == "step1x3 + step2x3 + step3x3"
    attention = rows_of(tmp_path / "attention.csv")
    assert len(attention) == 2 * 2 * 4 * LAYERS * 49
    weights = [float(row["weight"]) for row in attention[LAYERS * 49 : (LAYERS + 1) * 49]]
    assert (min(weights), max(weights)) == (0.02, 0.2)  # of the second name
    assert len(rows_of(tmp_path / "planes.csv")) == 2 * 80
    assert len(rows_of(tmp_path / "masks.csv")) == 2 * 2 * 4
    cosines = [float(row["cosine"]) for row in rows_of(tmp_path / "cosines.csv")[:49]]
    assert cosines == detailed_data["examples"][0]["token_maps"]["caption"]["maps"][0]["values"]
    curves = rows_of(tmp_path / "curves.csv")
    assert len(curves) == sum(len(s) for c in detailed_data["curves"] for s in c["series"].values())


def test_every_figure_is_an_svg_and_a_png(detailed_data: dict[str, Any], tmp_path: Path) -> None:
    detailed_data["examples"] = detailed_data["examples"][:1]
    keys = ("pointing", "entropy_before", "entropy_after")
    detailed_data["measures"] = [m for m in detailed_data["measures"] if m["key"] in keys]
    detailed_data["curves"] = detailed_data["curves"][:1]
    for details in detailed_data["examples"][0]["token_details"].values():
        details["attention"], details["masks"] = details["attention"][:2], details["masks"][:2]
    detailed_data["measures"][0]["title"] = "costs $5 or $6"
    shown = detailed_data["examples"][0]["token_details"]["caption"]
    shown["pursuit"]["texts"][0][0] = "$x"
    shown["pursuit"]["texts"][0][1] = shown["masks"][0]["name"] = "\x16\ud800 犬"
    written = write_static(read_report(detailed_data), tmp_path)
    names = {path.stem for path in written}
    assert {"entropy", "planes", "measure_pointing", "curve_1_training_loss"} <= names
    assert {f"example_1_{kind}" for kind in FIGURES} <= names
    assert len(written) == 2 * len(names)
    for name in names:
        minidom.parse(str(tmp_path / f"{name}.svg"))  # a control character would be no XML
        with Image.open(tmp_path / f"{name}.png") as picture:
            extremes = picture.convert("L").getextrema()
        assert extremes[0] < extremes[1]
