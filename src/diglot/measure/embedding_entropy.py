"""Von Neumann entropy of visual tokens before and after the projector, and its drop.

Source: Patch-aligned, Definition 3.1 and Table 1: the tokens of all images stacked. One (D, D)
moment is kept for each of ten groups of images, so memory does not grow with the data.
"""

from collections.abc import Sequence

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
    after = _group_moments([scene.visual_PD for scene in scenes])
    kept = [scene.features_ME for scene in scenes if scene.features_ME is not None]
    whole = len(kept) == len(scenes)
    before = _group_moments(kept if whole else [])
    count = len(scenes)

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


def _group_moments(vectors: Sequence[torch.Tensor]) -> np.ndarray | None:
    """Second moment of each group of images, float64 (G, D, D); None without images."""
    if not vectors:
        return None
    group = jackknife_groups(len(vectors))
    moments: dict[int, np.ndarray] = {}
    for number, rows in zip(group.tolist(), vectors, strict=True):
        own = second_moment(rows.detach().double().cpu().numpy())
        moments[number] = moments[number] + own if number in moments else own
    return np.stack([moments[number] for number in sorted(moments)])


def _entropy_of_kept(moment_GDD: np.ndarray | None, kept_G: np.ndarray) -> float | None:
    return None if moment_GDD is None else moment_entropy(moment_GDD[kept_G].sum(axis=0))


def _entropy_interval(moment_GDD: np.ndarray | None, count: int) -> Estimate:
    return jackknife_interval(lambda kept_G: _entropy_of_kept(moment_GDD, kept_G), count)


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
