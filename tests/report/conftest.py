"""A made-up report with realistic values, its scenes drawn with PIL; the same bytes every time."""

import base64
import copy
import io
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFilter

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
RUNS = ("caption", "code_switch")
SIDE = 448
GRID = 7

OBJECTS = {
    "ball": ("#d94f3d", "red"),
    "crate": ("#b98243", "wooden"),
    "tent": ("#3f8f5f", "green"),
    "moon": ("#e9d66b", "yellow"),
    "kite": ("#5563c1", "blue"),
}
PLACES = [(40, 60), (250, 40), (60, 260), (270, 250)]
SKILL = {"caption": 0.25, "code_switch": 0.9}


def draw_object(draw: ImageDraw.ImageDraw, name: str, box: tuple[int, int, int, int]) -> None:
    """One flat object that fills `box`."""
    x0, y0, x1, y1 = box
    colour, middle = OBJECTS[name][0], (x0 + x1) // 2
    if name in ("ball", "moon"):
        draw.ellipse(box, fill=colour, outline="#2a2a2a", width=3)
    elif name == "crate":
        draw.rectangle(box, fill=colour, outline="#2a2a2a", width=3)
    elif name == "tent":
        draw.polygon([(middle, y0), (x1, y1), (x0, y1)], fill=colour, outline="#2a2a2a", width=3)
    else:
        corners = [(middle, y0), (x1, (y0 + y1) // 2), (middle, y1), (x0, (y0 + y1) // 2)]
        draw.polygon(corners, fill=colour, outline="#2a2a2a", width=3)


def draw_scene(names: list[str], boxes: list[tuple[int, int, int, int]], seed: int) -> Image.Image:
    """The objects on a soft landscape."""
    rng = random.Random(seed)
    image = Image.new("RGB", (SIDE, SIDE), "#b9d3e6")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.randrange(SIDE), rng.randrange(SIDE // 2, SIDE)
        tone = rng.choice(["#8aa56b", "#7d9a5e", "#a2b57c", "#b8b08a"])
        draw.ellipse((x - 70, y - 25, x + 70, y + 45), fill=tone)
    image = image.filter(ImageFilter.GaussianBlur(4))
    draw = ImageDraw.Draw(image)
    for name, box in zip(names, boxes, strict=True):
        draw_object(draw, name, box)
    return image


def jpeg_uri(image: Image.Image) -> str:
    """The image inside an address."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def token_boxes() -> list[list[float]]:
    """GRID x GRID tokens over the whole image, row by row."""
    cell = SIDE / GRID
    return [
        [c * cell, r * cell, (c + 1) * cell, (r + 1) * cell]
        for r in range(GRID)
        for c in range(GRID)
    ]


def cosines(box: tuple[int, ...], skill: float, rng: random.Random) -> list[float]:
    """High near the middle of `box` for a skilled run, noise for the other."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    values = []
    for x0, y0, x1, y1 in token_boxes():
        distance = math.hypot((x0 + x1) / 2 - x, (y0 + y1) / 2 - y)
        values.append(skill * 0.32 * math.exp(-((distance / 70) ** 2)) + rng.gauss(0.03, 0.035))
    return [round(v, 4) for v in values]


def make_caption(names: list[str]) -> tuple[str, list[tuple[str, list[int]]]]:
    """A caption, and phrase and span of every name in it."""
    text, found = "The picture shows ", []
    for index, name in enumerate(names):
        phrase = f"a {OBJECTS[name][1]} {name}"
        text += ", " if 0 < index < len(names) - 1 else " and " if index else ""
        found.append((phrase, [len(text), len(text) + len(phrase)]))
        text += phrase
    return text + " on a meadow under a pale sky.", found


def make_example(seed: int) -> dict[str, Any]:
    """One scene with the token maps of both runs."""
    rng = random.Random(seed)
    names = rng.sample(sorted(OBJECTS), 4)
    sides = [rng.randrange(95, 150) for _ in names]
    boxes = [(x, y, x + side, y + side) for (x, y), side in zip(PLACES, sides, strict=True)]
    caption, phrases = make_caption(names)
    regions = [
        {"phrase": phrase, "label": name, "span": span, "box": list(box)}
        for name, box, (phrase, span) in zip(names, boxes, phrases, strict=True)
    ]
    return {
        "id": f"held-out/{seed:04d}",
        "image": jpeg_uri(draw_scene(names, boxes, seed)),
        "size_hw": [SIDE, SIDE],
        "caption": caption,
        "regions": regions,
        "token_maps": {run: make_token_map(names, boxes, SKILL[run], rng) for run in RUNS},
    }


def make_token_map(
    names: list[str], boxes: list[tuple[int, int, int, int]], skill: float, rng: random.Random
) -> dict[str, Any]:
    """Maps of all names, and as nearest word the best name or a filler."""
    maps = [
        {"name": n, "box": list(b), "values": cosines(b, skill, rng)}
        for n, b in zip(names, boxes, strict=True)
    ]
    words = []
    for index in range(GRID * GRID):
        best = max(maps, key=lambda m: m["values"][index])
        filler = rng.choice([" the", " grass", " field", "ing", " scene", " sky", " image"])
        words.append(f" {best['name']}" if best["values"][index] > 0.16 else filler)
    return {"boxes": token_boxes(), "words": words, "maps": maps}


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
