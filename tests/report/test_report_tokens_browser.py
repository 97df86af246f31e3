"""The details of tokens as a reader uses them: pointing, sliding, choosing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diglot.report.page import write_report
from tests.report.drawn_details import LAYERS

Opener = Callable[..., Any]
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def middle_of_token(svg: Any, token: int, grid: int = 7) -> tuple[float, float]:
    """Where a token of a square grid lies in an svg, from the svg's upper left corner."""
    box = svg.bounding_box()
    row, column = divmod(token, grid)
    return box["width"] * (column + 0.5) / grid, box["height"] * (row + 0.5) / grid


def point_at(page: Any, svg: Any, token: int) -> str:
    """What the page says of a token under the pointer."""
    svg.scroll_into_view_if_needed()
    x, y = middle_of_token(svg, token)
    svg.hover(position={"x": x, "y": y})
    return page.locator("#tip").inner_text()


def test_pointing_at_a_token_shows_its_words(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    page = open_page(detailed_data)
    svg = page.locator("article.scene >> nth=0 >> svg[data-steps][data-run='1']")
    said = point_at(page, svg, 17)
    details = detailed_data["examples"][0]["token_details"]["code_switch"]
    word, cosine, _ = details["words"][17][0]
    assert "code_switch, token 18" in said
    assert f"{word.strip()} {cosine:.2f}" in said
    assert "step1x17 + step2x17" in said
    assert svg.locator("rect.pointed").count() == 1
    page.mouse.move(2, 2)
    assert not page.locator("#tip").is_visible()


def test_tokens_are_reached_by_keys_and_by_touch(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    page = open_page(detailed_data)
    svg = page.locator("article.scene >> nth=0 >> svg[data-steps][data-run='0']")
    svg.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "caption, token 2" in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()
    # in one call, as a real touch is: the page may still be scrolling to what has the focus
    svg.evaluate(
        "e => { const b = e.getBoundingClientRect(); e.dispatchEvent(new PointerEvent("
        "'pointerdown', {clientX: b.x + 5, clientY: b.y + 5, bubbles: true})); }"
    )
    assert "caption, token 1" in page.locator("#tip").inner_text()


def test_the_layer_slider_changes_every_map(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    page = open_page(detailed_data)
    scene = page.locator("article.scene >> nth=0")
    slider = scene.locator("[data-slider=layer]")
    assert slider.get_attribute("max") == str(LAYERS)
    maps = scene.locator("svg[data-map] .heat")
    before = maps.evaluate_all("all => all.map(e => e.innerHTML)")
    slider.fill(str(LAYERS))
    after = maps.evaluate_all("all => all.map(e => e.innerHTML)")
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert scene.locator(".slider:has([data-slider=layer]) output").inner_text() == str(LAYERS)
    slider.fill(str(LAYERS // 2))  # the page itself is drawn at the middle layer
    again = maps.evaluate_all("all => all.map(e => [...e.children].map(p => p.getAttribute('d')))")
    assert all(any(paths) for paths in again)
    label = scene.locator("svg[data-map] >> nth=0").get_attribute("aria-label")
    assert label.endswith(f"layer {LAYERS // 2}")


def test_attention_maps_share_a_scale_at_every_layer(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    """Only where the highest weight of all maps is are the cells of the brightest level."""
    for name, highest in [("caption", 0.1), ("code_switch", 0.4)]:
        for drawn in detailed_data["examples"][0]["token_details"][name]["attention"]:
            drawn["highest"] = [highest] * LAYERS
    page = open_page(detailed_data)
    scene = page.locator("article.scene >> nth=0")
    for layer in (LAYERS // 2, LAYERS):
        if layer == LAYERS:
            scene.locator("[data-slider=layer]").fill(str(layer))
        for run, brightest, written in [(0, 2, "0.02 to 0.10"), (1, 11, "0.02 to 0.40")]:
            found = scene.locator(f"svg[data-map][data-run='{run}'] .heat path")
            levels = found.evaluate_all("all => all.map(e => +e.getAttribute('class').slice(5))")
            assert max(levels) == brightest  # (0.1 - 0.02) / (0.4 - 0.02) of 11 levels
            captions = scene.locator(f"figure:has(svg[data-map][data-run='{run}']) .ends")
            assert set(captions.all_inner_texts()) == {written}


def test_the_step_slider_shows_the_words_of_that_step(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    page = open_page(detailed_data)
    svg = page.locator("article.scene >> nth=0 >> svg[data-steps] >> nth=0")
    text = svg.locator("text[data-token='3']")
    assert text.text_content() == "step1x3"
    first_class = text.get_attribute("class")
    page.locator("article.scene >> nth=0 >> [data-slider=step]").fill("2")
    assert text.text_content() == "step2x3"
    assert text.get_attribute("class") != first_class
    sizes = svg.locator("text").evaluate_all("all => all.map(e => +e.getAttribute('font-size'))")
    assert max(sizes) > 2 * min(sizes)


def test_the_chooser_shows_one_picture_or_all(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    page = open_page(detailed_data)
    scenes = page.locator("article.scene")
    shown = lambda: [scenes.nth(i).is_visible() for i in range(2)]  # noqa: E731
    assert shown() == [True, False]
    page.locator("[data-choose='1']").click()
    assert shown() == [False, True]
    page.locator("[data-choose='all']").click()
    assert shown() == [True, True]
    assert page.locator("[data-choose='all']").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window_and_figures_have_words(
    open_page: Opener, detailed_data: dict[str, Any], width: int
) -> None:
    page = open_page(detailed_data, width=width)
    page.locator("[data-choose='all']").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("table:not(:has(th[scope]))").count() == 0
    svg = page.locator("article.scene >> nth=0 >> svg[data-map] >> nth=0")
    said = point_at(page, svg, 6)
    box = page.locator("#tip").bounding_box()
    assert said
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_hostile_words_stay_text(open_page: Opener, detailed_data: dict[str, Any]) -> None:
    details = detailed_data["examples"][0]["token_details"]["caption"]
    details["words"][0][0][0] = details["subtokens"][0][0][0] = HOSTILE
    details["pursuit"]["texts"][1][0] = details["lexicon"] = details["rule"] = HOSTILE
    details["masks"][0]["name"] = details["attention"][0]["name"] = HOSTILE
    detailed_data["scatter"]["caption"]["method"] = HOSTILE
    page = open_page(detailed_data)
    svg = page.locator("article.scene >> nth=0 >> svg[data-steps][data-run='0']")
    assert HOSTILE in point_at(page, svg, 0)
    page.locator("article.scene >> nth=0 >> [data-slider=step]").fill("2")
    assert svg.locator("text[data-token='0']").text_content() == HOSTILE
    assert page.locator("body img").count() == 0
    assert page.locator("body script").count() == 2  # the data, and the page's own


def test_bytes_and_halves_of_characters_are_written_out(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    details = detailed_data["examples"][0]["token_details"]["caption"]
    details["words"][0][0][0] = details["pursuit"]["texts"][0][0] = "\x16a\x7f"
    page = open_page(detailed_data)
    svg = page.locator("article.scene >> nth=0 >> svg[data-steps][data-run='0']")
    assert "\\x16a\\x7f" in point_at(page, svg, 0)
    assert svg.locator("text[data-token='0']").text_content() == "\\x16a\\x7f"
    assert not set(page.content()) & {"\x16", "\x7f"}


def test_bars_of_entropy_take_most_of_their_table(
    open_page: Opener, detailed_data: dict[str, Any]
) -> None:
    page = open_page(detailed_data)
    table = page.locator("#entropy table").bounding_box()
    widths = [bar.bounding_box()["width"] for bar in page.locator("#entropy .bar").all()]
    assert max(widths) > 0.5 * table["width"]


def test_without_the_script_every_picture_is_there(
    browser: Any, detailed_data: dict[str, Any], tmp_path: Path
) -> None:
    path = write_report(detailed_data, tmp_path / "page.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("article.scene").count() == 2
    assert page.locator("article.scene >> nth=1").is_visible()
    assert not page.locator(".slider >> nth=0").is_visible()
    assert page.locator("svg[data-map] .heat path").count() > 4
    context.close()
