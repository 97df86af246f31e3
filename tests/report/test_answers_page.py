"""The page of answers: filters, escaping, and that it asks nothing of the network."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diglot.core.errors import DataError
from diglot.report.answers_page import list_filters, write_answers_page
from diglot.report.thumbnails import jpeg_uri

SCRIPT, ONERROR = "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>'


def question(number: int, scores: list[float | None], **more: Any) -> dict[str, Any]:
    return {
        "id": f"counting/{number}",
        "task": "Counting" if number % 2 else "Presence",
        "way": "written",
        "question": f"Question {number}?",
        "right": "2",
        "candidates": ["1", "2"],
        "answers": [{"text": f"answer of {run}", "score": s} for run, s in enumerate(scores)],
    } | more


def answers_data() -> dict[str, Any]:
    score = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4, "groups": {}}
    return {
        "title": "Answers",
        "created": "2026-11-26",
        "data": "scenes, test",
        "runs": ["caption", "mmcs"],
        "measures": [
            {
                "key": "counting.generate",
                "title": "Counting, written",
                "what": "How many?",
                "unit": "accuracy",
                "chance": None,
                "higher_is_better": True,
                "results": {"caption": score, "mmcs": score},
            }
        ],
        "pairs": [
            {
                "first": "caption",
                "second": "mmcs",
                "key": "counting.generate",
                "difference": {"value": -0.25, "low": -0.5, "high": 0.0, "n": 4},
                "p": 0.04,
            }
        ],
        "pictures": [
            {
                "picture": jpeg_uri(Image.new("RGB", (64, 48), colour)),
                "questions": [question(2 * n, scores[0]), question(2 * n + 1, scores[1])],
            }
            for n, (colour, scores) in enumerate(
                [("red", ([1.0, 0.0], [1.0, 1.0])), ("blue", ([0.0, 1.0], [0.0, None]))]
            )
        ]
        + [{"picture": None, "questions": [question(9, [0.75, 0.0])]}],
    }


def test_filters_name_every_pair_and_run():
    titles = [one.title for one in list_filters(("a", "b"))]
    assert titles == [
        *("a right, b wrong", "b right, a wrong"),
        *("a right", "b right", "a wrong", "b wrong"),
    ]


def test_equal_data_give_equal_bytes_and_no_address(tmp_path: Path):
    one, two = (
        write_answers_page(answers_data(), tmp_path / f"{n}.html").read_bytes() for n in (1, 2)
    )
    assert one == two
    assert b"http" not in one.replace(b"http-equiv", b"")
    assert b"<script" not in one


def test_a_field_that_cannot_be_used_is_named(tmp_path: Path):
    data = answers_data()
    data["pictures"][0]["picture"] = "https://example.org/x.png"
    with pytest.raises(DataError, match=r"pictures\[0\]\.picture"):
        write_answers_page(data, tmp_path / "x.html")
    data = answers_data()
    data["pictures"][0]["questions"][0]["answers"].pop()
    with pytest.raises(DataError, match=r"questions\[0\]\.answers"):
        write_answers_page(data, tmp_path / "x.html")


@pytest.fixture
def page(browser: Any, tmp_path: Path, request: pytest.FixtureRequest):
    data = answers_data()
    data["title"] = SCRIPT
    data["pictures"][0]["questions"][0] |= {"question": ONERROR, "right": SCRIPT}
    data["pictures"][0]["questions"][0]["answers"][0]["text"] = ONERROR
    address = write_answers_page(data, tmp_path / "page.html").as_uri()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, troubles = context.new_page(), []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on(
        "request",
        lambda r: troubles.append(r.url) if r.url != address and r.url[:5] != "data:" else None,
    )
    page.goto(address)
    yield page
    context.close()
    assert not troubles


def visible(page: Any) -> list[str]:
    found = page.locator(".question")
    return [
        found.nth(i).get_attribute("data-item").split("/")[1]
        for i in range(found.count())
        if found.nth(i).is_visible()
    ]


def test_the_filters_choose_questions_in_a_browser(page: Any):
    assert visible(page) == ["0", "1", "2", "3", "9"]
    page.get_by_text("caption right, mmcs wrong").click()
    assert visible(page) == ["0", "9"]
    assert page.locator(".asked:visible").count() == 2
    page.get_by_text("Presence, written").first.click()
    assert visible(page) == ["0"]
    assert page.locator(".asked:visible").count() == 1
    page.locator("#who-all").check(force=True)
    assert visible(page) == ["0", "2"]


def test_hostile_text_is_shown_not_run(page: Any):
    assert page.get_by_text(SCRIPT).first.is_visible()
    assert page.locator("img").count() == 2
    assert page.evaluate("document.querySelectorAll('script').length") == 0


@pytest.mark.parametrize("width", [320, 1280])
def test_no_sideways_scrolling(page: Any, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
