"""Scenes drawn with PIL, with captions, boxes and made-up token maps; the same every time."""

import base64
import io
import math
import random
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

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
