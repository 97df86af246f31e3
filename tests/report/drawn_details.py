"""Made-up details of drawn scenes: words, pursuit, masks and attention of every token."""

import base64
import random
from typing import Any

from tests.report.drawn_scenes import GRID, RUNS

LAYERS = 6
STEPS = 3
WORDS = ("grass", "sky", "the", "of", "cloud", "hill")
PIECES = (" grass", "ing", " the", "##", " sky", "ly")


def add_details(example: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The example with details for every run, from its own token maps."""
    rng = random.Random(seed)
    details = {run: make_details(example["token_maps"][run], rng) for run in RUNS}
    return {**example, "token_details": details}


def make_details(token_map: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Details that agree with a token map: the nearest word is its own."""
    tokens = range(GRID * GRID)
    cosines = [max(m["values"][i] for m in token_map["maps"]) for i in tokens]
    return {
        "rule": "otsu",
        "lexicon": "made up",
        "subtokens": [
            [[rng.choice(PIECES), 0.2, False], [rng.choice(PIECES), 0.1, True]] for _ in tokens
        ],
        "words": [
            [[token_map["words"][i], round(cosines[i], 3), True], [rng.choice(WORDS), 0.01, True]]
            for i in tokens
        ],
        "pursuit": {
            "texts": [[f" step{k}x{i}" for i in tokens] for k in range(1, STEPS + 1)],
            "are_words": [[(i + k) % 2 == 0 for i in tokens] for k in range(STEPS)],
            "parts": [[round(max(c, 0.0) + 0.01, 3) for c in cosines] for _ in range(STEPS)],
            "left": [[round(0.9 - 0.1 * k, 3) for _ in tokens] for k in range(STEPS)],
        },
        "masks": [
            {
                "name": one["name"],
                "chosen": [i for i in tokens if one["values"][i] > 0.12],
                "iou": 0.4,
            }
            for one in token_map["maps"]
        ],
        "attention": [
            {
                "name": one["name"],
                "layers": [levels(one["values"], layer) for layer in range(LAYERS)],
                "lowest": [0.02] * LAYERS,
                "highest": [0.1 + 0.1 * number] * LAYERS,
            }
            for number, one in enumerate(token_map["maps"])
        ],
    }


def levels(values: list[float], layer: int) -> str:
    """Levels that spread in early layers and peak in late ones, as the page holds them."""
    low, high = min(values), max(values)
    shares = [((v - low) / (high - low)) ** (layer + 1) for v in values]
    return base64.b64encode(bytes(round(255 * share) for share in shares)).decode()


def make_plane(seed: int) -> dict[str, Any]:
    """Two clouds."""
    rng = random.Random(seed)
    clouds = [
        [[round(rng.random() * 0.5 + at, 3), round(rng.random(), 3)] for _ in range(40)]
        for at in (0.0, 0.4)
    ]
    return {"method": "t-SNE, perplexity 30", "visual": clouds[0], "words": clouds[1]}
