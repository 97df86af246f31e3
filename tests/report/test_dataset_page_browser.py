"""A dataset's page as a reader uses it, in a real browser."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from diglot.core.types import PatchLabels, Region
from diglot.data.images import decode_image
from diglot.report.dataset_page import write_dataset_page
from diglot.report.dataset_stats import DatasetStats
from diglot.report.samples import record_json
from tests.data.formats.foreign import make_conversation, make_sample

HOSTILE = "<script>alert(1)</script>"
LONG_WORDS = ("Donaudampfschifffahrtsgesellschaft", "mmmmmmmm", "WWWWWWWWWWWW", "traffic light")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of a dog and a cat, a bird whose words are hostile, and a conversation."""
    bird = Region(phrase=HOSTILE, label="bird", box=(3.0, 2.0, 9.0, 10.0))
    samples = [
        make_sample(0),
        replace(make_sample(1), id=HOSTILE, caption=HOSTILE, regions=(bird,)),
        make_conversation(2),
    ]
    cells = np.array([[x, y, x + 8, y + 8] for y in (0, 8, 16) for x in (0, 8, 16, 24)], float)
    long = [(word,) for word in LONG_WORDS]
    words = (("dog", "animal"), *[()] * 6, (HOSTILE,), *long)
    scores = ((0.9, 0.25), *[()] * 6, *[(0.5,)] * 5)
    labels = PatchLabels(cells_M4=cells, words=words, scores=scores)
    stats, shown = DatasetStats(), []
    for number, sample in enumerate(samples):
        stats.add(sample)
        pictures = [decode_image(image) for image in sample.images]
        shown.append(record_json(sample, pictures, None if number else labels))
    page = {
        "title": HOSTILE,
        "created": "now",
        "note": "three",
        "facts": stats.facts(),
        "charts": stats.charts(),
        "rejected": [["box smaller than a patch", 40], ["no entity", 7]],
        "unusable": [["s9", HOSTILE]],
        "samples": shown,
    }
    return write_dataset_page(page, tmp_path_factory.mktemp("page") / "page.html").as_uri()


def open_page(browser: Any, address: str, width: int) -> Any:
    page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    return page


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_its_window(browser: Any, address: str, width: int) -> None:
    page = open_page(browser, address, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_text("box smaller than a patch").is_visible()
    assert page.get_by_text(HOSTILE, exact=True).first.is_visible()


def test_a_phrase_filters_the_samples(browser: Any, address: str) -> None:
    page = open_page(browser, address, 1280)
    samples = page.locator(".sample")
    assert samples.count() == 3
    page.get_by_text("bird 1").click()
    assert [samples.nth(n).is_visible() for n in range(3)] == [False, True, False]
    page.get_by_text("small dog 1").click()
    assert [samples.nth(n).is_visible() for n in range(3)] == [False, False, True]
    page.locator("fieldset").get_by_text("all", exact=True).click()
    assert all(samples.nth(n).is_visible() for n in range(3))


def test_an_entity_of_a_turn_has_the_colour_of_its_box(browser: Any, address: str) -> None:
    page = open_page(browser, address, 1280)
    talk = page.locator(".sample", has=page.locator(".turns"))
    assert talk.locator("svg.picture").count() == 2
    of = "el => getComputedStyle(el).getPropertyValue('--entity')"
    box = talk.locator("svg.picture").nth(1).locator("g[data-entity='1']")
    assert box.evaluate(of) == talk.locator("mark[data-entity='1']").evaluate(of)
    assert talk.locator(".turn.assistant mark").inner_text() == "small dog"


def test_a_patch_shows_its_best_word_and_lists_all(browser: Any, address: str) -> None:
    page = open_page(browser, address, 1280)
    patches = page.locator(".patch")
    assert patches.count() == 2 + len(LONG_WORDS)
    assert patches.first.locator("text").text_content() == "dog"
    assert patches.first.locator("title").text_content() == "dog 0.90\nanimal 0.25"


INSIDE = """group => {
    const box = group.querySelector("rect").getBoundingClientRect();
    return [...group.querySelectorAll("tspan")].every(line => {
        const text = line.getBoundingClientRect();
        return text.left >= box.left && text.right <= box.right + 0.5
            && text.top >= box.top - 1 && text.bottom <= box.bottom + 1;
    });
}"""


@pytest.mark.parametrize("width", [360, 1280])
def test_words_of_patches_stay_in_their_patch(browser: Any, address: str, width: int) -> None:
    patches = open_page(browser, address, width).locator(".patch")
    assert [patches.nth(n).evaluate(INSIDE) for n in range(patches.count())] == [True] * 6
    compound = patches.nth(2)
    assert compound.locator("tspan").count() > 2
    assert compound.locator("title").text_content() == f"{LONG_WORDS[0]} 0.50"
