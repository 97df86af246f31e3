"""A made-up report of two runs with realistic values, and the browser to look at it."""

import copy
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diglot.report.page import write_report
from tests.report.drawn_details import add_details, make_plane
from tests.report.drawn_scenes import RUNS, make_example

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def score(value: float | None, spread: float = 0.04, n: int = 400) -> dict[str, Any]:
    """A score with a symmetric interval."""
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0}
    return {"value": value, "low": max(value - spread, 0.0), "high": value + spread, "n": n}


def measure(
    key: str, title: str, values: tuple[float | None, float | None], **more: Any
) -> dict[str, Any]:
    """One measure with a group of its own; `more` overrides fields."""
    spread = more.pop("spread", 0.04)
    results = {
        run: score(value, spread)
        | {
            "groups": {
                "unseen photos": score(None if value is None else value * 0.93, spread * 2, 96)
            }
        }
        for run, value in zip(RUNS, values, strict=True)
    }
    return {
        "key": key,
        "title": title,
        "what": "Given a name, choose among the boxes of the scene by the likelihood of the name "
        "after the tokens of the object alone, without the whole image. Neither objective was "
        "trained on this format. It leans to code_switch, which reads objects alone in training.",
        "chance": 0.25,
        "higher_is_better": True,
        "unit": "accuracy",
        "results": results,
    } | more


def loss_series(start: float, end: float, seed: int) -> list[list[float]]:
    """A noisy falling loss over 256 samples."""
    rng = random.Random(seed)
    return [
        [x, end + (start - end) * math.exp(-x / 60) + rng.gauss(0, 0.12)] for x in range(0, 257, 2)
    ]


def make_report() -> dict[str, Any]:
    """The whole result JSON of two runs."""
    return {
        "title": "caption and code_switch on 256 composed scenes",
        "created": "2026-11-20T14:03:22+00:00",
        "summary": "The same projector, pretrained twice from one seed on the same 256 scenes. "
        "code_switch names single objects far better; caption predicts whole captions better.",
        "runs": list(RUNS),
        "settings": {
            "command": "diglot demo --out runs/demo --seed 0",
            "seed": "0",
            "scenes": "256 training, 100 held out",
            "encoder": "EfficientNet-Lite0 at 448 px, frozen",
            "projector": "2x2 unshuffle, 2-layer MLP 1024, quick-GELU",
            "language model": "SmolLM2-135M-Instruct, frozen",
        },
        "environment": {"diglot": "0.1.0", "torch": "2.13.0", "cpu": "2 cores, AVX2"},
        "measures": [
            measure("region_matching", "Region matching", (0.32, 0.82)),
            measure("region_naming", "Region naming", (0.05, 0.24), chance=0.02, spread=0.03),
            measure("presence_auc", "Object presence", (0.54, 0.58), chance=0.5, unit="AUC"),
            measure("pointing", "Pointing", (0.16, 0.70), chance=0.17),
            measure("iou", "Localisation overlap", (None, 0.31), chance=None, unit="mean IoU"),
            measure(
                "caption_nll",
                "Caption likelihood",
                (1.73, 2.38),
                chance=None,
                spread=0.06,
                unit="nats/token",
                higher_is_better=False,
            ),
        ],
        "curves": [
            {
                "title": "Training loss",
                "x_label": "samples seen",
                "y_label": "nats per token",
                "series": {
                    "caption": loss_series(4.1, 1.7, 1),
                    "code_switch": loss_series(5.2, 2.4, 2),
                },
            },
            {
                "title": "Region matching while training",
                "x_label": "samples seen",
                "y_label": "accuracy on the probe set",
                "series": {
                    "caption": [[0, 0.24], [64, 0.27], [128, 0.29], [192, None], [256, 0.31]],
                    "code_switch": [[0, 0.25], [64, 0.41], [128, 0.6], [192, 0.77], [256, 0.8]],
                },
            },
        ],
        "timings": [
            {"stage": "features", "seconds": 61.2, "note": "5.8 images/s"},
            {"stage": "train caption", "seconds": 120.4, "note": "2.1 samples/s"},
            {"stage": "train code_switch", "seconds": 164.9, "note": "1.6 samples/s"},
            {"stage": "measure", "seconds": 108.0, "note": ""},
        ],
        "examples": [make_example(seed) for seed in range(2)],
    }


@pytest.fixture(scope="session")
def _report_once() -> dict[str, Any]:
    return make_report()


@pytest.fixture
def report_data(_report_once: dict[str, Any]) -> dict[str, Any]:
    """A fresh report that a test may change."""
    return copy.deepcopy(_report_once)


@pytest.fixture
def detailed_data(report_data: dict[str, Any]) -> dict[str, Any]:
    """The report with details of every token, planes, and entropy."""
    report_data["examples"] = [add_details(e, n) for n, e in enumerate(report_data["examples"])]
    report_data["scatter"] = {run: make_plane(n) for n, run in enumerate(RUNS)}
    for key, values in (("entropy_before", (4.1, 4.1)), ("entropy_after", (3.9, 2.2))):
        more = {"unit": "nats", "chance": None, "higher_is_better": None}
        report_data["measures"].append(measure(key, key.replace("_", " "), values, **more))
    return report_data


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; tests that need it are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS)
        yield started
        started.close()


Opener = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Opener]:
    """Opens a report at a window size; afterwards, nothing may have complained or asked."""
    troubles: list[str] = []
    contexts = []

    def opener(
        data: dict[str, Any],
        *,
        width: int = 1280,
        scheme: str = "light",
        write: Callable[[dict[str, Any], Path], Path] = write_report,
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=False
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        address = write(data, tmp_path / "page.html").as_uri()
        page.on(
            "request",
            lambda request: (
                troubles.append(request.url)
                if request.url != address and not request.url.startswith("data:image/")
                else None
            ),
        )
        page.goto(address)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert not troubles
