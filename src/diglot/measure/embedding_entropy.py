"""Von Neumann entropy of visual tokens before and after the projector, and its drop.

Source: Patch-aligned, Definition 3.1 and Table 1: the tokens of all images stacked. One (D, D)
moment is kept for each of ten groups of images, so memory does not grow with the data.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from diglot.core.result import Estimate, Measure
from diglot.measure.projected import ProjectedSample
from diglot.metrics.entropy import moment_entropy, second_moment
from diglot.metrics.jackknife import jackknife_groups, jackknife_interval

WHAT = (
    "How evenly the vectors of all images spread over directions, in nats: the von Neumann "
    "entropy of their second moment, not centred; at most the logarithm of their width. A "
    "trained projector compresses what it takes in, a random one hardly does (Patch-aligned, "
    "Table 1), so a larger drop is read as more alignment; a projector that collapses to one "
    "vector drops most of all, so read it beside the other measures. The interval is a "
    "jackknife over groups of images."
)


def measure_entropy(scenes: Sequence[ProjectedSample]) -> list[Measure]:
    """Entropy before (where features were kept), after, and the drop between them."""
    count = len(scenes)
    after = _group_moments((scene.visual_PD for scene in scenes), count)
    kept = all(scene.features is not None for scene in scenes)
    features = (f for scene in scenes if (f := scene.features_ME) is not None)
    before = _group_moments(features, count) if kept else None

    def drop(kept_G: np.ndarray) -> float | None:
        one, other = _entropy_of_kept(before, kept_G), _entropy_of_kept(after, kept_G)
        return None if one is None or other is None else one - other

    return [
        _make_measure(
            "entropy_before", "Entropy before the projector", _entropy_interval(before, count), None
        ),
        _make_measure(
            "entropy_after", "Entropy after the projector", _entropy_interval(after, count), None
        ),
        _make_measure("entropy_drop", "Entropy drop", jackknife_interval(drop, count), True),
    ]


def _group_moments(vectors: Iterable[torch.Tensor], count: int) -> list[np.ndarray] | None:
    """Second moment of each group of `count` images, float64 (D, D); None without images."""
    moment_G: dict[int, np.ndarray] = {}
    for group, rows in zip(jackknife_groups(count).tolist(), vectors, strict=True):
        own = second_moment(rows.detach().double().cpu().numpy())
        if group in moment_G:
            moment_G[group] += own  # in place: a moment is large
        else:
            moment_G[group] = own
    return [moment_G[group] for group in sorted(moment_G)] or None


def _entropy_of_kept(moment_G: Sequence[np.ndarray] | None, kept_G: np.ndarray) -> float | None:
    if moment_G is None:
        return None
    chosen = np.flatnonzero(kept_G)
    total_DD = moment_G[chosen[0]].copy()
    for group in chosen[1:]:
        total_DD += moment_G[group]
    return moment_entropy(total_DD)


def _entropy_interval(moment_G: Sequence[np.ndarray] | None, count: int) -> Estimate:
    found = jackknife_interval(lambda kept_G: _entropy_of_kept(moment_G, kept_G), count)
    return found.within(0.0, math.inf)


def _make_measure(key: str, title: str, estimate: Estimate, higher: bool | None) -> Measure:
    return Measure(
        key=key,
        title=title,
        what=WHAT,
        unit="nats",
        higher_is_better=higher,
        chance=None,
        estimate=estimate,
    )
