"""The page of a comparison, out of results of studies that never ran."""

import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from diglot.report.comparison import (
    RowCrossover,
    range_text,
    ratio_text,
    render_comparison,
    samples_text,
    score_text,
)
from diglot.studies.compare.page import make_comparison
from tests.studies.compare.made_up import HEADS, ROWS, SIZES, made_up, smooth

HOSTILE = "\"><img src=x onerror=alert(1)></style><script>alert(2)</script>{{ 7 * 7 }}'&"
STATES = {
    "all done": {},
    "one seed": {"seeds": (0,)},
    "one size": {"sizes": (64,)},
    "one size, one seed": {"sizes": (64,), "seeds": (3,)},
    "one row": {"rows": 1},
    "one of all": {"rows": 1, "sizes": (64,), "seeds": (0,)},
    "a run failed": {"states": {(5, 1024, 1): "failed"}},
    "half done": {"states": {(r, n, 1): "waiting" for r in range(6) for n in SIZES}},
    "nothing done": {"rows": 2, "sizes": (8,), "seeds": (0,)}
    | {"states": {(0, 8, 0): "waiting", (1, 8, 0): "waiting"}},
    "all failed": {"rows": 1, "sizes": (8,), "seeds": (0,), "states": {(0, 8, 0): "failed"}},
    "a measure without scores": {
        "score": lambda key, *job: None if key == "pointing" else smooth(key, *job)
    },
    "a row without scores": {
        "score": lambda key, row, *job: None if row == 2 else smooth(key, row, *job)
    },
    "all the same": {"score": lambda *job: 0.25},
}


class Page(HTMLParser):
    """What a browser would see of a page: tags, texts, and the cells of its tables."""

    def __init__(self, results: dict[str, Any]) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.cells: dict[tuple, str] = {}  # section or measure, row, measure or size -> text
        self._section = self._row = self._cell = ""
        self.html = render_comparison(make_comparison(results, {"torch": "<2>"}, "diglot compare"))
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag in ("section", "article", "table") and attributes.get("id"):
            self._section = attributes["id"]
        self._row = attributes.get("data-row") or self._row
        if tag in ("td", "th"):
            what = attributes.get("data-samples") or attributes.get("data-measure")
            self._cell = (self._section, self._row, what) if what else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "style":
            return
        self.texts.append(data)
        if self._cell:
            text = f"{self.cells.get(self._cell, '')} {data}"
            self.cells[self._cell] = " ".join(text.split())

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(" ".join(self.texts).split())


def about(results: dict[str, Any], row: str, samples: int, key: str) -> dict[str, Any]:
    """One entry of the table."""
    return next(
        result
        for result in results["table"]
        if (result["row"], result["samples"], result["measure"]) == (row, samples, key)
    )


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_page_that_asks_for_nothing(state):
    results = made_up(**STATES[state])
    page = Page(results)
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "form", "base", "img", "b"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "src", "srcset", "action"}:
                assert (value or "").startswith(("#", "data:"))
    targets = {found["id"] for _, found in page.tags if found.get("id")}
    links = {found["href"][1:] for tag, found in page.tags if tag == "a"}  # type: ignore[index]
    assert links <= targets
    assert not re.search(r"https?://|@import|url\(", page.html)
    assert not re.search(r"\b(nan|inf|None|undefined)\b", page.text)
    assert not re.search(r'="[^"]*\bnan\b', page.html)
    assert results["title"] in page.texts
    assert set(results["rows"]) <= set(page.texts)


def test_every_score_stands_with_the_spread_of_its_seeds():
    results = made_up()
    page = Page(results)
    for result in results["table"]:
        key, row, samples = result["measure"], result["row"], result["samples"]
        expected = f"{result['mean']:.2f} {result['min']:.2f} to {result['max']:.2f}, 2 seeds, n 90"
        assert page.cells[f"measure-{key}", row, str(samples)] == expected
        if samples == max(SIZES):
            shown = page.cells["results", row, key]
            assert shown.replace(" best", "") == expected
    for key, (title, unit, *_) in HEADS.items():
        assert f"How {title} is measured." in page.texts
        assert unit in page.texts
        half_width = about(results, "caption", 64, key)["half_width"]
        assert f"leave a run ± {score_text(half_width)} (95%)" in page.text


def test_every_row_has_a_line_a_band_and_bars():
    results = made_up(rows=3)
    html = Page(results).html
    figure = html.split('id="measure-region_matching"')[1].split("</figure>")[0]
    assert figure.count('class="line"') == figure.count('class="band"') == 3
    assert figure.count("reach faint") == 3 * len(SIZES)
    assert figure.count('class="chance-line"') == 1
    label = re.search(r'aria-label="([^"]*)"', figure)
    mean = about(results, "caption", 64, "region_matching")["mean"]
    assert label
    assert f"caption: {mean:.2f} at 64" in label[1]
    assert all(f">{size:,}</text>" in figure for size in SIZES)


def test_one_size_is_drawn_side_by_side_with_a_legend():
    page = Page(made_up(sizes=(64,)))
    figure = page.html.split('id="measure-caption_nll"')[1].split("</article>")[0]
    assert figure.count('class="legend"') == 1
    assert all(figure.count(f"<bdi>{row}</bdi>") == 1 for row in ROWS[:5])
    assert figure.count('class="reach"') == 3 * len(ROWS)  # a line and its two ends
    assert 'id="ratio"' not in page.html


def test_one_seed_is_stated_once_and_has_no_spread():
    page = Page(made_up(seeds=(0,), rows=2))
    assert (
        "Of one seed: how far seeds lie apart is not known, so no row is called best." in page.text
    )
    assert "Mean over seeds" not in page.text
    assert re.fullmatch(r"\d\.\d\d 1 seed, n 90", page.cells["results", "caption", "pointing"])
    assert " to " not in page.cells["ratio", "patch_aligned", "pointing"]


def test_an_unfinished_study_is_compared_where_every_row_was_measured():
    states = {(row, 1024, seed): "waiting" for row in (1, 2, 3, 4, 5) for seed in (0, 1)}
    states |= {(0, 1024, 1): "waiting", (1, 512, 1): "waiting", (2, 512, 1): "failed"}
    states[2, 512, 0] = "failed"
    page = Page(made_up(states=states))
    assert "46 of 60 runs done, 2 failed" in page.text
    assert "unfinished" in page.texts
    assert "At 512 samples" in page.texts
    assert "The most samples that every row was tried with by now." in page.text
    assert page.cells["results", "reconstruction", "pointing"] == "failed"
    assert page.cells["measure-pointing", "reconstruction", "512"] == "failed"
    assert page.cells["measure-pointing", "reconstruction", "1024"] == "–"
    assert page.cells["results", "patch_aligned", "pointing"].endswith(" 1 of 2 seeds, n 90")
    assert page.text.count("the loss is not finite <script>alert(1)</script>") == 2


def test_two_of_three_seeds_stand_with_their_spread():
    page = Page(made_up(seeds=(0, 1, 2), states={(1, 1024, 2): "waiting"}))
    shown = page.cells["results", "patch_aligned", "caption_nll"]
    assert re.fullmatch(r"\d\.\d\d \d\.\d\d to \d\.\d\d, 2 of 3 seeds, n 90", shown)


def test_scores_near_chance_are_noted_and_not_compared():
    def by_row(key: str, row: int, samples: int, seed: int) -> float:
        at_chance, good = (2.6, 2.2) if key == "caption_nll" else (0.26, 0.5)
        return good if row == 1 and samples > 64 else at_chance + 0.001 * row

    page = Page(made_up(rows=3, score=by_row))
    assert "near chance" in page.cells["results", "caption", "region_matching"]
    assert "near chance" in page.cells["results", "reconstruction", "region_matching"]
    assert page.cells["results", "patch_aligned", "region_matching"] == (
        "0.50 best 0.50 to 0.50, 2 seeds, n 90"
    )
    assert "near chance" not in page.cells["results", "caption", "caption_nll"]  # it has none
    both = page.cells["ratio", "patch_aligned", "region_matching"]
    assert both == "caption is near chance not within the sizes run"
    assert page.cells["ratio", "reconstruction", "region_matching"] == (
        "caption is near chance reconstruction is near chance"
    )


def test_no_row_is_best_near_chance():
    page = Page(made_up(rows=2, score=lambda key, row, *job: 0.25 + 0.001 * row))
    assert page.cells["results", "patch_aligned", "region_matching"].startswith("0.25 near chance")


@pytest.mark.parametrize("second", [0.75, 0.62])
def test_no_row_is_best_of_one_seed_or_where_seeds_come_near(second):
    scores = {(0, 0): 0.5, (0, 1): 0.55, (1, 0): 0.75, (1, 1): second}
    payload = made_up(
        rows=2,
        sizes=(64,),
        states={(1, 64, 1): "waiting"} if second == 0.75 else {},
        score=lambda key, row, samples, seed: scores[row, seed],
    )
    page = Page(payload)
    assert "best" not in page.cells["results", "patch_aligned", "pointing"]
    assert "patch_aligned against caption : no clear difference on 3 of 3 measures." in page.text


def test_the_page_begins_with_what_got_better_and_what_got_worse():
    values = {"pointing": (0.5, 0.9), "caption_nll": (1.0, 2.0), "region_matching": (0.5, 0.5)}
    page = Page(made_up(rows=2, score=lambda key, row, *job: values[key][row]))
    assert (
        "patch_aligned against caption : better on Pointing by cosine ; worse on "
        "Held-out caption loss ; no clear difference on 1 of 3 measures." in page.text
    )


def test_crossovers_are_given_both_ways():
    """Row 1 is at its smallest size as good as caption at its largest, which is never as good."""

    def ahead(key: str, row: int, samples: int, seed: int) -> float:
        rise = 0.1 * math.log2(samples / 64) + (1.0 if row == 1 else 0.0)
        return 5 - rise if key == "caption_nll" else 0.4 + rise / 2

    page = Page(made_up(rows=2, score=ahead))
    for key in HEADS:
        assert page.cells["ratio", "patch_aligned", key] == (
            "at least 16× with 64 or fewer samples at least 16× in every seed "
            "not within the sizes run"
        )


def met(**changes: Any) -> RowCrossover:
    fields = {"samples": 128.0, "ratio": 8.0, "at_least": False, "seeds": 2}
    fields |= {"lowest": 2.0, "lowest_at_least": False, "highest": 8.0, "highest_at_least": False}
    return RowCrossover(measure="m", row="a", other="b", **fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("crossover", "text"),
    [
        (met(), "2× to 8×"),
        (met(highest_at_least=True), "2× to at least 8×"),
        (met(lowest_at_least=True, highest_at_least=True), "at least 2× to at least 8×"),
        (met(lowest=8.0), "8× in every seed"),
        (
            met(lowest=8.0, lowest_at_least=True, highest_at_least=True),
            "at least 8× in every seed",
        ),
        (met(lowest=None), "not in every seed; up to 8×"),
        (met(lowest=None, highest=None), "in no seed alone"),
        (met(lowest=None, highest=None, samples=None, ratio=None), ""),
        (met(lowest=None, samples=None, ratio=None), "not in every seed; up to 8×"),
        (met(seeds=1), "1 of 2 seeds"),
        (met(seeds=0, lowest=None, highest=None), ""),
    ],
)
def test_ratios_of_seeds_in_words(crossover, text):
    assert range_text(crossover, 2) == text
    assert range_text(crossover, 1) == ""


def test_ratios_and_samples_in_words():
    assert samples_text(met()) == "128"
    assert samples_text(met(samples=64.0, at_least=True)) == "64 or fewer"
    assert samples_text(met(samples=None)) == "not within the sizes run"
    assert ratio_text(16.0, at_least=True) == "at least 16×"
    assert ratio_text(1.4567, at_least=False) == "1.46×"
    assert ratio_text(0.5, at_least=False) == "0.50×"
    assert ratio_text(None, at_least=False) == "–"


def test_small_shares_have_three_decimals():
    assert [score_text(v) for v in (0.26, 0.0996, 0.0994, 0.008, 0.0, 2.051, -0.5)] == [
        *("0.26", "0.10", "0.099", "0.008", "0.00", "2.05", "−0.50")
    ]


def append_everywhere(value: Any, suffix: str, names: set[str]) -> Any:
    """The same results with `suffix` at the end of every text that a user or a library chose."""
    if isinstance(value, dict):
        return {
            k + suffix if k in names else k: v
            if k in ("state", "key", "measure")
            else append_everywhere(v, suffix, names)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [append_everywhere(item, suffix, names) for item in value]
    return value + suffix if isinstance(value, str) else value


def test_hostile_text_stays_text():
    results = made_up(states={(5, 1024, 1): "failed", (4, 1024, 1): "waiting"})
    names = {*ROWS, "text", "a.b", "optim.lr"}
    plain = Page(append_everywhere(results, "zz", names))
    poisoned = Page(append_everywhere(results, HOSTILE, names))
    assert [tag for tag, _ in plain.tags] == [tag for tag, _ in poisoned.tags]
    assert sum(HOSTILE in text for text in poisoned.texts) > 50


def test_rows_settings_and_the_command_stand_on_the_page():
    page = Page(made_up(rows=2))
    for text in ("embedded/caption", "a.b: 1", '{"optim.lr": 0.001}', "diglot compare", "<2>"):
        assert text in page.texts
    results = made_up(rows=2)
    results["set"] = {}
    assert "over every row's recipes" not in Page(results).texts
