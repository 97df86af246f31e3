"""The page as a reader sees it, in a real browser."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from diglot.report.comparison import write_comparison
from diglot.report.dataset_page import write_dataset_page
from diglot.report.palette import DARK_GROUND, LIGHT_GROUND, contrast_ratio
from diglot.studies.compare.page import make_comparison
from tests.studies.compare.made_up import ROWS, made_up

Opener = Callable[..., Any]


def style(page: Any, selector: str, name: str) -> list[str]:
    """Computed style `name` of every element that `selector` finds."""
    return page.eval_on_selector_all(
        selector, f"found => found.map(e => getComputedStyle(e).getPropertyValue('{name}'))"
    )


def test_measures_can_be_read(open_page: Opener, report_data: dict[str, Any]) -> None:
    page = open_page(report_data)
    for measure in report_data["measures"]:
        row = page.locator(f"[data-measure={measure['key']}]")
        assert row.get_by_text(measure["title"], exact=True).is_visible()
        value = measure["results"]["code_switch"]["value"]
        assert row.get_by_text(f"{value:.2f}", exact=True).is_visible()
        assert row.locator("svg[role=img]").bounding_box()["width"] > 200
    assert page.locator("[data-measure=iou]").get_by_text("not measured").is_visible()
    assert page.locator(".differences").get_by_text("worse on Caption likelihood").is_visible()


def test_the_answer_fits_one_screen(open_page: Opener, report_data: dict[str, Any]) -> None:
    page = open_page(report_data)
    box = page.locator("#results").bounding_box()
    assert box["y"] + box["height"] <= 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_and_words_share_colours(
    open_page: Opener, report_data: dict[str, Any], scheme: str
) -> None:
    page = open_page(report_data, scheme=scheme)
    scene = ".scene >> nth=0 >> "
    box_colours = set()
    for number in range(1, 5):
        (box,) = style(page, f"{scene}g[data-entity='{number}'] .box", "stroke")
        (word,) = style(page, f"{scene}mark[data-entity='{number}']", "border-bottom-color")
        assert box == word
        box_colours.add(box)
    assert len(box_colours) == 4


def test_pictures_are_drawn_in_every_map(open_page: Opener, report_data: dict[str, Any]) -> None:
    page = open_page(report_data)
    maps = page.locator(".scene >> nth=0 >> .maps svg")
    assert maps.count() == 8
    assert maps.first.locator("use").bounding_box()["width"] > 100
    assert maps.first.locator(".heat path").count() > 3


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_sideways_scrolling(open_page: Opener, report_data: dict[str, Any], width: int) -> None:
    report_data["title"] = report_data["examples"][0]["id"] = "x" * 200
    report_data["settings"]["y" * 120] = "z" * 300
    page = open_page(report_data, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_text_is_shown_not_run(open_page: Opener, report_data: dict[str, Any]) -> None:
    script, image = "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>'
    report_data["title"] = script
    report_data["summary"] = image
    example = report_data["examples"][0]
    example["caption"] += image
    example["id"] = image
    example["regions"][0]["label"] = script
    example["token_maps"]["caption"]["maps"][0]["name"] = image
    example["token_maps"]["caption"]["words"][0] = script
    page = open_page(report_data)
    assert page.locator("h1").inner_text() == script
    assert page.locator(".lead").inner_text() == image
    assert page.locator(".caption-text").first.inner_text().endswith(image)
    assert page.locator("body script, body img").count() == 0


def test_text_can_be_read_on_its_ground(open_page: Opener, report_data: dict[str, Any]) -> None:
    """WCAG's 4.5:1 for every colour of text against the page, in both schemes."""
    report_data["examples"] = report_data["examples"][:1]
    for scheme, expected in (("light", LIGHT_GROUND), ("dark", DARK_GROUND)):
        page = open_page(report_data, scheme=scheme)
        (ground,) = style(page, "body", "background-color")
        assert to_hex(ground) == expected
        for selector in ("body", ".muted", "nav a", ".meta", "thead th"):
            for ink in set(style(page, selector, "color")):
                assert contrast_ratio(to_hex(ink), to_hex(ground)) >= 4.5, (scheme, selector)
        page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<i class=\"tag best\">b</i>')"
        )
        for tag in (".tag.best", ".tag.chance"):
            ink, tag_ground = (style(page, tag, n)[0] for n in ("color", "background-color"))
            assert contrast_ratio(to_hex(ink), to_hex(tag_ground)) >= 4.5, (scheme, tag)


def to_hex(colour: str) -> str:
    """ "rgb(1, 2, 3)" as "#010203"."""
    channels = colour.removeprefix("rgb(").removesuffix(")").split(",")
    return "#" + "".join(f"{int(channel):02x}" for channel in channels)


def test_figures_have_words_and_tables_heads(
    open_page: Opener, report_data: dict[str, Any]
) -> None:
    page = open_page(report_data)
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    silent = "svg:not([role=img]):not([aria-hidden]):not(svg svg)"
    assert page.locator(silent).count() == 0
    assert page.locator("table:not(:has(th[scope]))").count() == 0
    headings = page.eval_on_selector_all("h1, h2, h3, h4", "h => h.map(e => +e.tagName[1])")
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))


def test_a_dataset_page_shows_boxes_masks_and_captions(
    open_page: Opener, report_data: dict[str, Any]
) -> None:
    sample = report_data["examples"][0] | {"lineage": [{"step": "<b>", "revision": "1"}]}
    sample["regions"][0]["mask"] = sample["image"]
    page_data = {
        "title": "scenes",
        "created": "now",
        "note": "one",
        "facts": {"regions": "4"},
        "charts": [{"title": "Names", "bars": [["ball" * 40, 3]], "rest": 2}],
        "rejected": [["<script>", 7]],
        "unusable": [["<img>", "broken"]],
        "samples": [sample],
    }
    page = open_page(page_data, width=390, write=write_dataset_page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".sample rect.mask").count() == 1
    for number in range(1, 5):
        (box,) = style(page, f".sample g[data-entity='{number}'] .box", "stroke")
        (word,) = style(page, f".sample mark[data-entity='{number}']", "border-bottom-color")
        assert box == word
    for text in ("<script>", "<img>", "<b> 1"):
        assert page.get_by_text(text, exact=True).is_visible()


UNFINISHED = {(5, 1024, 1): "failed", (4, 1024, 1): "waiting", (3, 1024, 0): "waiting"}


def write_made_up(results: dict[str, Any], out: Path) -> Path:
    return write_comparison(
        make_comparison(results, {"torch": "2"}, "diglot compare --config x"), out
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "results",
    [
        {"states": UNFINISHED},
        {"sizes": (64,), "seeds": (0,)},
        {"rows": 1, "sizes": (8,), "seeds": (0,), "states": {(0, 8, 0): "waiting"}},
    ],
    ids=["unfinished", "one size and seed", "nothing done"],
)
def test_a_comparison_fits_its_window(
    open_page: Opener, results: dict[str, Any], width: int, scheme: str
) -> None:
    payload = made_up(**results)
    payload["title"] = payload["about"] = payload["rows"]["caption"]["set"]["y" * 120] = "x" * 200
    page = open_page(payload, width=width, scheme=scheme, write=write_made_up)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("table:not(:has(th[scope]))").count() == 0
    headings = page.eval_on_selector_all("h1, h2, h3, h4", "h => h.map(e => +e.tagName[1])")
    assert all(b - a <= 1 for a, b in pairwise(headings))
    (ground,) = style(page, "body", "background-color")
    assert to_hex(ground) == (LIGHT_GROUND if scheme == "light" else DARK_GROUND)


def test_a_comparison_shows_hostile_text_and_a_legend_beside_every_figure(
    open_page: Opener,
) -> None:
    page = open_page(made_up(states=UNFINISHED), write=write_made_up)
    assert page.locator("h1").inner_text() == "Data efficiency & <more>"
    assert page.locator("body script, body img, body b").count() == 0
    assert page.get_by_text("<script>alert(1)</script>").is_visible()
    for card in page.locator(".compared-measure").all():
        assert card.locator(".legend li").all_inner_texts() == list(ROWS)
        colours = style(page, ".compared-measure .legend li", "--run")
        assert len(set(colours)) == len(ROWS)
        assert card.locator("svg[role=img]").bounding_box()["width"] > 400


def test_labels_of_a_comparison_do_not_overlap(open_page: Opener) -> None:
    for width in (390, 1280):
        page = open_page(made_up(), width=width, write=write_made_up)
        for plot in page.locator(".plot").all():
            boxes = [text.bounding_box() for text in plot.locator("text").all()]
            for i, a in enumerate(boxes):
                assert not any(overlap(a, b) for b in boxes[i + 1 :])


def overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(
        a[start] < b[start] + b[size] and b[start] < a[start] + a[size]
        for start, size in (("x", "width"), ("y", "height"))
    )


def test_row_names_stay_while_a_narrow_table_is_scrolled(open_page: Opener) -> None:
    page = open_page(made_up(), width=390, write=write_made_up)
    table, name = page.locator("#results .wide"), page.locator("#results tbody th").first
    before = name.bounding_box()["x"]
    table.evaluate("e => e.scrollLeft = 200")
    assert table.evaluate("e => e.scrollLeft") > 100
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1)
