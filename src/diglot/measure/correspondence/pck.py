"""PCK@alpha, the percentage of correct keypoints, pooled and by category: the C score.

"Law of Vision Representation in MLLMs" Eq. 2: a prediction is right if it lies less than
T = alpha * max(width, height) of the target's box from the truth; the score pools all keypoints.
Beside it stand the mean over pairs of each pair's share (what the authors' code reports: its mean
over categories weighted by their pairs is the same number), the score a perfect matcher would
reach on the same grid (`ceiling`), and that of a random cell (`chance`).
Intervals draw pairs again; pairs that share a picture make them somewhat too narrow.
Legend: M scored keypoints of all pairs in order, A alphas.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diglot.core.result import NOT_MEASURED, Estimate
from diglot.data.pairs import Pair
from diglot.measure.correspondence.config import check_alphas
from diglot.measure.correspondence.matching import Found, PairBatch
from diglot.metrics.bootstrap import mean_interval

Match = Callable[[PairBatch, Sequence[float]], Found]


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Every scored keypoint's error, and the pair it belongs to (an index into `pairs`)."""

    pairs: tuple[Pair, ...]
    alphas: tuple[float, ...]
    pair_M: np.ndarray  # int64
    ratio_M: np.ndarray  # error as a share of the target box's longer side
    best_M: np.ndarray  # the least error there could be; NaN where any place can be predicted
    chance_MA: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PckScore:
    """PCK of some pairs at one alpha, as fractions."""

    pooled: Estimate  # over keypoints: the paper's formula
    pair_mean: Estimate  # over pairs, each with the share of its keypoints
    ceiling: float | None
    chance: float | None


@dataclass(frozen=True, kw_only=True)
class CScore:
    """Scores by alpha: of all pairs, of each category, of each group."""

    overall: dict[float, PckScore]
    categories: dict[str, dict[float, PckScore]]
    groups: dict[str, dict[float, PckScore]]
    pairs: int
    left_out: dict[str, int]  # keypoints and pairs that are not scored, by reason


def match_points(batches: Iterable[PairBatch], match: Match, alphas: Sequence[float]) -> Matches:
    """Predict and measure every batch. Raises ConfigError for an alpha that is no share."""
    alphas = check_alphas(alphas)
    pairs: list[Pair] = []
    rows: list[tuple[np.ndarray, ...]] = []
    for batch in batches:
        found, scored_BK = match(batch, alphas), batch.scored_BK
        pair_BK = len(pairs) + np.repeat(np.arange(len(batch.pairs))[:, None], batch.keypoints, 1)
        whole = (pair_BK, found.ratio_BK, found.best_BK, found.chance_BKA)
        rows.append(tuple(values[scored_BK] for values in whole))
        pairs += batch.pairs
    empty = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros((0, len(alphas))))
    pair_M, ratio_M, best_M, chance_MA = (
        np.concatenate(column) for column in zip(empty, *rows, strict=True)
    )
    return Matches(
        pairs=tuple(pairs),
        alphas=alphas,
        pair_M=pair_M,
        ratio_M=ratio_M,
        best_M=best_M,
        chance_MA=chance_MA,
    )


def c_score(found: Matches, *, seed: int = 0) -> CScore:
    """All scores with 95% intervals; the bootstrap is seeded with `seed`."""
    category = np.array([pair.category for pair in found.pairs])[found.pair_M]
    names = sorted({pair.category for pair in found.pairs})
    in_group = {
        group: np.array([group in pair.groups for pair in found.pairs], bool)[found.pair_M]
        for group in sorted({group for pair in found.pairs for group in pair.groups})
    }
    return CScore(
        overall=_score_by_alpha(found, np.ones(len(found.pair_M), bool), seed),
        categories={name: _score_by_alpha(found, category == name, seed) for name in names},
        groups={group: _score_by_alpha(found, mask_M, seed) for group, mask_M in in_group.items()},
        pairs=len(found.pairs),
        left_out=left_out(found.pairs),
    )


def left_out(pairs: Iterable[Pair]) -> dict[str, int]:
    """What does not count, by reason."""
    counts: Counter[str] = Counter()
    for pair in pairs:
        counts["keypoints not visible"] += int((~pair.visible_K).sum())
        counts["keypoints beyond a picture"] += int((pair.visible_K & ~pair.scored_K).sum())
        counts["pairs without a keypoint"] += not pair.scored_K.any()
    return {reason: count for reason, count in counts.items() if count}


def _score_by_alpha(found: Matches, mask_M: np.ndarray, seed: int) -> dict[float, PckScore]:
    return {alpha: _score_alpha(found, mask_M, a, seed) for a, alpha in enumerate(found.alphas)}


def _score_alpha(found: Matches, mask_M: np.ndarray, a: int, seed: int) -> PckScore:
    if not mask_M.any():
        return PckScore(pooled=NOT_MEASURED, pair_mean=NOT_MEASURED, ceiling=None, chance=None)
    alpha, pair_M = found.alphas[a], found.pair_M[mask_M]
    right_M = found.ratio_M[mask_M] < alpha
    pair_N, index_M = np.unique(pair_M, return_inverse=True)
    share_N = np.bincount(index_M, weights=right_M) / np.bincount(index_M)
    best_M = found.best_M[mask_M]
    return PckScore(
        pooled=mean_interval(right_M, pair_M, generator=np.random.default_rng(seed)),
        pair_mean=mean_interval(share_N, pair_N, generator=np.random.default_rng(seed)),
        ceiling=None if np.isnan(best_M).any() else float((best_M < alpha).mean()),
        chance=float(found.chance_MA[mask_M, a].mean()),
    )


def score_record(score: CScore) -> dict[str, Any]:
    """Plain JSON: scores as fractions, keyed by alpha as text ("0.1")."""
    return {
        "overall": _record_scores(score.overall),
        "categories": {
            name: _record_scores(by_alpha) for name, by_alpha in score.categories.items()
        },
        "groups": {name: _record_scores(by_alpha) for name, by_alpha in score.groups.items()},
        "pairs": score.pairs,
        "left_out": score.left_out,
    }


def _record_scores(by_alpha: dict[float, PckScore]) -> dict[str, Any]:
    return {
        f"{alpha:g}": {
            "pooled": score.pooled.to_json(),
            "pair_mean": score.pair_mean.to_json(),
            "ceiling": score.ceiling,
            "chance": score.chance,
        }
        for alpha, score in by_alpha.items()
    }
