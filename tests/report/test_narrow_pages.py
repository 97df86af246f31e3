"""Every kind of page on a phone: it does not scroll sideways as a whole, and no text is cut off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diglot.report.answers_page import write_answers_page
from diglot.report.correspondence_page import write_correspondence_page
from diglot.report.dataset_page import write_dataset_page
from diglot.report.page import write_report
from diglot.report.thumbnails import jpeg_uri
from diglot.report.token_page import write_token_page
from tests.report.drawn_scenes import RUNS
from tests.report.test_answers_page import answers_data
from tests.report.test_report_browser import write_made_up
from tests.studies.compare.made_up import ROWS, made_up

Write = Callable[[dict[str, Any], Path], Path]
Opener = Callable[..., Any]
PHONE_PX = 390
LONG = "runs/2026-11-27_projector_with_a_name_that_has_no_blank_in_it_at_all_and_goes_on_and_on"

# Texts that stand outside the window, or outside what hides what is beyond it.
CUT_OFF = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const isIn = (style, values) => values.includes(style.overflowX);
  const limitsOf = (element) => {
    let [left, right] = [0, document.documentElement.clientWidth];
    for (let above = element; above; above = above.parentElement) {
      const style = getComputedStyle(above), box = above.getBoundingClientRect();
      if (isIn(style, ["auto", "scroll"]) || style.clipPath !== "none")  // or for screen readers
        return [-Infinity, Infinity];
      if (isIn(style, ["hidden", "clip"]))
        [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
    }
    return [left, right];
  };
  const textOf = (element) =>
    [...element.childNodes].map((n) => n.nodeType === 3 ? n.textContent : "").join("").trim();
  const boxOf = (element) => {
    if (element instanceof SVGElement) return element.getBoundingClientRect();
    const range = document.createRange();
    range.selectNodeContents(element);
    return range.getBoundingClientRect();
  };
  return [...document.querySelectorAll("body *")].filter((element) => {
    if (!textOf(element) || !element.checkVisibility({ visibilityProperty: true })) return false;
    const box = boxOf(element), [left, right] = limitsOf(element);
    return box.width && (box.left < left - 1 || box.right > right + 1);
  }).map((element) => `${element.tagName} ${element.className}: ${textOf(element).slice(0, 60)}`);
}"""


def correspondence_data() -> dict[str, Any]:
    picture = {"image": jpeg_uri(Image.new("RGB", (60, 40), "red")), "size_hw": [40, 60]}
    boxes = [[x, y, x + 20, y + 20] for y in (0, 20) for x in (0, 20, 40)]
    found = [
        {"encoder": n, "boxes": boxes, "values": [0, 0.1, 0.2, 0.3, 0.4, n], "predicted": [50, 30]}
        | {"error": n / 2}
        for n in range(2)
    ]
    points = [{"source": [5, 5], "true": [50, 30], "found": found}] * 2
    pair = {"id": LONG, "about": LONG, "source": picture, "target": picture, "radius": 4}
    page = {"title": LONG, "created": "now", "note": LONG, "alpha": 0.1}
    return page | {"encoders": [LONG, "clip"], "pairs": [pair | {"points": points}]}


def token_data() -> dict[str, Any]:
    texts = [("visual", None, 196), (LONG, 5, 1), (" dog", 6, 1)]
    tokens = [{"text": t, "id": i, "terms": ["lm"], "branch": 0, "count": c} for t, i, c in texts]
    document = {
        "id": LONG,
        "rejected": "",
        "tokens": tokens,
        "counts": {LONG: 2},
        "notes": {LONG: 1},
    }
    rejected = {**document, "rejected": LONG, "tokens": []}
    return {"title": LONG, "created": "now", "note": LONG, "documents": [document, rejected]}


def dataset_data(report: dict[str, Any]) -> dict[str, Any]:
    page = {"title": LONG, "created": "now", "note": LONG, "facts": {LONG: LONG}}
    charts = [{"title": LONG, "bars": [[LONG, 3], ["dog", 12345]], "rest": 2}]
    faults = {"rejected": [[LONG, 7]], "unusable": [[LONG, LONG]]}
    lineage = [{"step": LONG, "revision": "1"}]
    shown = [example | {"id": LONG, "lineage": lineage} for example in report["examples"]]
    return page | {"charts": charts, **faults, "samples": shown}


def lengthen(data: Any, names: tuple[str, ...]) -> Any:
    """The same page with long names of runs, which differ at their ends."""
    text = json.dumps(data)
    for name in names:
        text = text.replace(f'"{name}"', json.dumps(f"{LONG}_{name}"))
    return json.loads(text)


def page_of(kind: str, report: dict[str, Any]) -> tuple[Write, dict[str, Any]]:
    if kind.startswith("report"):
        captions = [example.pop("caption") for example in report["examples"]]  # a run's name too
        report = lengthen(report, RUNS if kind == "report, long names" else ())
        examples = [
            example | {"caption": caption}
            for example, caption in zip(report["examples"], captions, strict=True)
        ]
        return write_report, report | {"examples": examples}
    if kind.startswith("answers"):
        names = ("caption", "mmcs") if kind == "answers, long names" else ()
        return write_answers_page, lengthen(answers_data(), names)
    if kind.startswith("comparison"):
        names = tuple(ROWS) if kind == "comparison, long names" else ()
        return write_made_up, lengthen(made_up(), names)
    if kind == "dataset":
        return write_dataset_page, dataset_data(report)
    if kind == "tokens":
        return write_token_page, token_data()
    return write_correspondence_page, correspondence_data()


@pytest.mark.parametrize(
    "kind",
    [
        *("report", "report, long names", "answers", "answers, long names"),
        *("comparison", "comparison, long names", "dataset", "tokens", "correspondences"),
    ],
)
def test_a_page_fits_a_phone(open_page: Opener, detailed_data: dict[str, Any], kind: str) -> None:
    write, data = page_of(kind, detailed_data)
    page = open_page(data, width=PHONE_PX, write=write)
    for choice in page.locator("[data-choose=all]").all():
        choice.click()
    cut_off = page.evaluate(CUT_OFF)
    assert not cut_off, "\n".join(cut_off)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE_PX
