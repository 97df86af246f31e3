"""The page as a file: whole, repeatable, self-contained, with nothing unescaped."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.report.page import write_report

HOSTILE = "\"><img src=x onerror=alert(1)></style><script>alert(2)</script>{{ 7 * 7 }}'&"


class Tags(HTMLParser):
    """Collects what a browser would see: tags, their attributes, text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def append_everywhere(value: Any, suffix: str) -> Any:
    """The same document with `suffix` at the end of every string that is free text."""
    if isinstance(value, dict):
        return {
            k + suffix if k == "unseen photos" else k: v
            if k in ("image", "runs")
            else append_everywhere(v, suffix)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [append_everywhere(item, suffix) for item in value]
    return value + suffix if isinstance(value, str) else value


def test_equal_data_give_equal_bytes(report_data: dict[str, Any], tmp_path: Path) -> None:
    one = write_report(report_data, tmp_path / "new" / "one.html")
    other = write_report(report_data, tmp_path / "other.html")
    assert one.read_bytes() == other.read_bytes()


def test_the_page_asks_for_nothing(report_data: dict[str, Any], tmp_path: Path) -> None:
    page = write_report(report_data, tmp_path / "page.html").read_text("utf-8")
    for tag, attributes in Tags(page).tags:
        assert tag not in {"script", "iframe", "object", "embed", "form", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "src", "srcset", "action"}:
                assert (value or "").startswith(("#", "data:"))
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_hostile_text_stays_text(report_data: dict[str, Any], tmp_path: Path) -> None:
    harmless = append_everywhere(report_data, "zz")
    hostile = append_everywhere(report_data, HOSTILE)
    plain = Tags(write_report(harmless, tmp_path / "a.html").read_text("utf-8"))
    poisoned = Tags(write_report(hostile, tmp_path / "b.html").read_text("utf-8"))
    assert [tag for tag, _ in plain.tags] == [tag for tag, _ in poisoned.tags]
    assert sum(HOSTILE in text for text in poisoned.text) > 20


def test_hostile_run_names_stay_text(report_data: dict[str, Any], tmp_path: Path) -> None:
    run = "r" + HOSTILE
    report_data["runs"] = [run]
    for part in [*report_data["measures"], *report_data["curves"], *report_data["examples"]]:
        for key in ("results", "series", "token_maps"):
            if key in part:
                part[key] = {run: part[key]["caption"]}
    tags = Tags(write_report(report_data, tmp_path / "a.html").read_text("utf-8"))
    assert {"script", "img"}.isdisjoint(tag for tag, _ in tags.tags)


def test_what_was_not_measured_says_so(report_data: dict[str, Any], tmp_path: Path) -> None:
    report_data["measures"][0]["results"] = {}
    report_data["measures"][1]["results"]["caption"] = {
        "value": math.nan,
        "low": None,
        "high": None,
        "n": 0,
    }
    page = write_report(report_data, tmp_path / "page.html").read_text("utf-8")
    row = page.split('data-measure="region_naming"')[1].split("</tr>")[0]
    assert row.count('number absent">not measured') == 1
    row = page.split('data-measure="region_matching"')[1].split("</tr>")[0]
    assert row.count('number absent">not measured') == 2
    assert "nan" not in page.replace("nant", "").lower().split("</style>")[1].split("data:")[0]


def test_a_bare_report_is_still_a_page(report_data: dict[str, Any], tmp_path: Path) -> None:
    empty = {key: [] for key in ("measures", "curves", "timings", "examples")}
    bare = report_data | empty | {"settings": {}, "environment": {}}
    assert "No measures." in write_report(bare, tmp_path / "page.html").read_text("utf-8")


def test_wrong_data_leave_the_old_page(report_data: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")
    del report_data["title"]
    with pytest.raises(DataError):
        write_report(report_data, out)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert out.read_text() == "old"


def test_a_folder_is_no_page(report_data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(report_data, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(report_data, tmp_path / "file" / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
