"""Pairs of no picture, with maps given: what tests of the correspondence measure share."""

import numpy as np
import torch
from torch.nn.functional import normalize

from diglot.core.preprocess import Preprocess
from diglot.data.pairs import Pair, PairImage, points_array
from diglot.measure.correspondence.matching import PairBatch


def side(size_hw, xy) -> PairImage:
    return PairImage(image=b"", size_hw=size_hw, points_K2=points_array(xy))


def pair(source, target, *, box=(0, 0, 10, 10), id="p", visible=None, **more) -> Pair:
    """A pair of (size_hw, xy) sides."""
    first, second = side(*source), side(*target)
    visible_K = (
        np.ones(len(first.points_K2), bool) if visible is None else np.asarray(visible, bool)
    )
    return Pair(
        id=id,
        source=first,
        target=second,
        box=box,
        visible_K=visible_K,
        **{"category": "c", **more},
    )


def batch(pairs, source, target, *, mode="pad", image_px=32, patch_px=8) -> PairBatch:
    """Maps (B, h, w, E), any numbers, as the unit maps of pairs."""
    preprocess = Preprocess(mode=mode, image_px=image_px)

    def views(name):
        sizes = [getattr(one, name).size_hw for one in pairs]
        return [preprocess.token_grid(size, patch_px=patch_px).views[0] for size in sizes]

    return PairBatch(
        pairs=pairs,
        source_BhwE=normalize(torch.as_tensor(source, dtype=torch.float32), dim=-1),
        target_BhwE=normalize(torch.as_tensor(target, dtype=torch.float32), dim=-1),
        source_views=views("source"),
        target_views=views("target"),
    )


def random_pairs(rng, count, *, points=7, category="c") -> list[Pair]:
    """Pairs of pictures of random sizes, their points anywhere on them."""
    made = []
    for number in range(count):
        sizes = rng.integers(20, 90, size=(2, 2)).tolist()
        sides = [((h, w), (rng.random((points, 2)) * [w, h]).tolist()) for h, w in sizes]
        box = (0.0, 0.0, float(rng.uniform(10, 60)), float(rng.uniform(10, 60)))
        made.append(pair(*sides, box=box, id=f"p{number}", category=category))
    return made
