"""Matching keypoints for the C score: pairs a second, against one keypoint at a time.

The naive form takes the cosine of one source feature with the whole target map at a time; both
start from features in memory, as after the cache.
"""

from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cosine_similarity, normalize

from benchmarks.machine import interleaved
from diglot.core.preprocess import Preprocess
from diglot.data.pairs import Pair, PairImage
from diglot.measure.correspondence.config import ALPHAS, MatchConfig
from diglot.measure.correspondence.maps import cell_coordinates, cell_places, read_at
from diglot.measure.correspondence.matching import PairBatch, match_letterbox

# EfficientNet-Lite0 at 448 px, and a ViT-L/14 at 336 px; keypoints of SPair-71k's order.
SHAPES = {"14 x 14 x 1280": (448, 32, 1280), "24 x 24 x 1024": (336, 14, 1024)}
PAIRS, KEYPOINTS = 16, 12


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Pairs a second by shape and form."""
    rates: dict[str, Any] = {}
    table = Table(title=f"C score: pairs a second, {KEYPOINTS} keypoints each")
    for head in ("features", "naive", "batched", "times", "batched, search enlarged 8 times"):
        table.add_column(head, justify="right")
    for name, shape in SHAPES.items():
        batch = _batch(*shape)
        works = {
            "naive": lambda b=batch: _naive(b),
            "batched": lambda b=batch: match_letterbox(b, MatchConfig(), ALPHAS),
            "upsampled": lambda b=batch: match_letterbox(b, MatchConfig(upsample=8), ALPHAS),
        }
        rate = {form: PAIRS / spent for form, spent in interleaved(works).items()}
        rates[name] = rate
        times = rate["batched"] / rate["naive"]
        table.add_row(
            name,
            *(f"{v:,.0f}" for v in (*list(rate.values())[:2], times)),
            f"{rate['upsampled']:,.0f}",
        )
    console.print(table)
    return rates


def _batch(image_px: int, patch_px: int, width: int) -> PairBatch:
    rng, side = np.random.default_rng(0), image_px // patch_px
    generator = torch.Generator().manual_seed(0)
    size_hw = (375, 500)  # SPair-71k's commonest
    view = Preprocess(mode="pad", image_px=image_px).token_grid(size_hw, patch_px=patch_px).views[0]
    source, target = (
        normalize(torch.randn(PAIRS, side, side, width, generator=generator), dim=-1)
        for _ in range(2)
    )
    pairs = [_pair(size_hw, rng) for _ in range(PAIRS)]
    return PairBatch(pairs, source, target, [view] * PAIRS, [view] * PAIRS)


def _pair(size_hw: tuple[int, int], rng: np.random.Generator) -> Pair:
    height, width = size_hw
    sides = [
        PairImage(
            image=b"", size_hw=size_hw, points_K2=rng.random((KEYPOINTS, 2)) * [width, height]
        )
        for _ in range(2)
    ]
    return Pair(
        id="pair",
        category="",
        source=sides[0],
        target=sides[1],
        box=(0, 0, 200, 200),
        visible_K=np.ones(KEYPOINTS, bool),
    )


def _naive(batch: PairBatch) -> list[tuple[float, float]]:
    found = []
    for b, pair in enumerate(batch.pairs):
        cells = cell_places(batch.target_views[b], pair.target.size_hw)
        inside_hw = torch.from_numpy(cells.inside_H[:, None] & cells.inside_W)
        at_K2 = cell_coordinates(pair.source.points_K2, batch.source_views[b], pair.source.size_hw)
        for at in torch.from_numpy(at_K2):
            feature_E = read_at(batch.source_BhwE[b : b + 1], at[None, None], "bilinear")[0, 0]
            cosine_hw = cosine_similarity(feature_E[None, None], batch.target_BhwE[b], dim=-1)
            best = int(cosine_hw.masked_fill(~inside_hw, -2).argmax())
            row, column = divmod(best, len(cells.x_W))
            found.append((float(cells.x_W[column]), float(cells.y_H[row])))
    return found
