"""How well an encoder's patches say what an object is: a linear probe, and names without one.

Both are on composed scenes, whose objects and boxes are known, and apart by source: a drawing has
been seen in training, a photograph of the test split has not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from diglot.core.preprocess import Preprocess
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.result import Estimate
from diglot.core.types import Sample
from diglot.data.features import sample_picture
from diglot.data.records import Dataset
from diglot.metrics.auc import auc_interval
from diglot.metrics.bootstrap import mean_interval
from diglot.models.encoder import Encoder
from diglot.models.tiling import view_pixels
from diglot.synth.patch_labels.towers import Towers

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # of the probe's weights; chosen on held-out training scenes
HELD_OUT = 4  # every fourth training scene chooses the penalty


@dataclass(frozen=True)
class ObjectTable:
    """The objects of some scenes: their vectors, names, sources and scenes."""

    vector_OE: torch.Tensor  # mean of the patches of the box, by coverage
    name_O: list[str]
    source_O: list[str]  # "cifar10" or "emoji"
    scene_O: np.ndarray

    def of_scenes(self, chosen_O: np.ndarray) -> "ObjectTable":
        """The objects for which `chosen_O` holds."""
        kept = np.flatnonzero(chosen_O)
        names, sources = ([column[i] for i in kept] for column in (self.name_O, self.source_O))
        return ObjectTable(self.vector_OE[kept], names, sources, self.scene_O[kept])


def pool_objects(
    encoder: Encoder, dataset: Dataset, count: int, report: Report = ignore_progress
) -> ObjectTable:
    """The objects of the first `count` scenes, each the mean of its box's features."""
    vectors, names, sources, scenes = [], [], [], []
    for index in range(min(count, len(dataset))):
        sample = dataset[index]
        feature_PE, cover_RP = _encode_scene(encoder, sample)
        for region, cover_P in zip(sample.regions, cover_RP, strict=True):
            vectors.append(cover_P @ feature_PE / cover_P.sum())
            names.append(region.label or region.phrase)
            sources.append(region.source.split("/")[0])
            scenes.append(index)
        report(Progress(f"features, {dataset.split}", index + 1, min(count, len(dataset))))
    return ObjectTable(torch.stack(vectors), names, sources, np.array(scenes))


@torch.no_grad()
def _encode_scene(encoder: Encoder, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (P, E) of a scene, and how much of each cell each region's box covers (R, P)."""
    preprocess = Preprocess(mode="squash", image_px=encoder.image_px)
    grid = preprocess.token_grid(sample.size_hw, patch_px=encoder.patch_px)
    pixels_3HW = view_pixels(sample_picture(sample), grid.views, encoder)[0]
    feature_PE = encoder(pixels_3HW[None])[0].flatten(0, 1).float()
    covers = [torch.from_numpy(grid.box_cover(r.box)).float() for r in sample.regions]
    return feature_PE, torch.stack(covers)


def probe_linearly(train: ObjectTable, test: ObjectTable) -> dict[str, Estimate]:
    """Share of test objects that a linear probe names, in all and by source."""
    names = sorted({*train.name_O, *test.name_O})
    is_held = train.scene_O % HELD_OUT == 0
    fitted, held = train.of_scenes(~is_held), train.of_scenes(is_held)
    scores = [_right(fitted, held, names, penalty).mean() for penalty in PENALTIES]
    best = PENALTIES[int(np.argmax(scores))]
    right_O = _right(train, test, names, best)
    return _by_source(right_O.astype(float), test)


def _right(
    train: ObjectTable, test: ObjectTable, names: Sequence[str], penalty: float
) -> np.ndarray:
    """Which test objects softmax regression on the standardised training objects names right."""
    mean_E, std_E = train.vector_OE.mean(0), train.vector_OE.std(0) + 1e-6
    name_O = torch.tensor([names.index(name) for name in train.name_O])
    weight_EK = torch.zeros(train.vector_OE.shape[1], len(names), requires_grad=True)
    bias_K = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_EK, bias_K], max_iter=200, line_search_fn="strong_wolfe")
    scaled_OE = (train.vector_OE - mean_E) / std_E

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(scaled_OE @ weight_EK + bias_K, name_O)
        loss = loss + penalty * weight_EK.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]  # LBFGS wants Tensor or float
    with torch.no_grad():
        found_O = (((test.vector_OE - mean_E) / std_E) @ weight_EK + bias_K).argmax(1)
    return np.array(
        [names[i] == name for i, name in zip(found_O.tolist(), test.name_O, strict=True)]
    )


def _by_source(value_O: np.ndarray, table: ObjectTable) -> dict[str, Estimate]:
    source_O = np.array(table.source_O)
    groups = {"all": np.ones(len(source_O), bool)}
    groups |= {source: source_O == source for source in sorted(set(table.source_O))}
    return {
        name: mean_interval(value_O[kept], table.scene_O[kept], generator=np.random.default_rng(0))
        for name, kept in groups.items()
    }


@torch.no_grad()
def name_objects(
    towers: Towers, dataset: Dataset, count: int, report: Report = ignore_progress
) -> tuple[dict[str, Estimate], Estimate]:
    """Without a probe: is an object nearest to its own name, of the names in its scene?

    Also the area under the curve of its patches (at least half in the box) against those that no
    part of the box touches, by their score for its name: what patch labels rest on.
    """
    names = sorted({label for labels in dataset.labels for label in labels if label})
    name_KC = towers.words(names)
    scores: list[float] = []
    insides: list[bool] = []
    clusters: list[int] = []
    right, sources, scenes = [], [], []
    for index in range(min(count, len(dataset))):
        sample = dataset[index]
        patch_PC, cover_RP = _patches_of(towers, sample)
        shown = sorted({names.index(region.label or "") for region in sample.regions})
        for region, cover_P in zip(sample.regions, cover_RP, strict=True):
            own = names.index(region.label or "")
            mean_C = cover_P @ patch_PC / cover_P.sum()
            right.append(float(shown[int((name_KC[shown] @ mean_C).argmax())] == own))
            sources.append(region.source.split("/")[0])
            scenes.append(index)
            score_P = patch_PC @ name_KC[own]
            kept_P = (cover_P >= 0.5) | (cover_P == 0)
            scores += score_P[kept_P].tolist()
            insides += (cover_P[kept_P] > 0).tolist()
            clusters += [index] * int(kept_P.sum())
        report(Progress("names", index + 1, min(count, len(dataset))))
    table = ObjectTable(torch.zeros(len(right), 0), [""] * len(right), sources, np.array(scenes))
    curve = auc_interval(scores, insides, clusters, generator=np.random.default_rng(0), draws=200)
    return _by_source(np.array(right), table), curve


def _patches_of(towers: Towers, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors (P, C) of a scene's patches, and the boxes' cover of them (R, P)."""
    encoder = towers.encoder
    preprocess = Preprocess(mode="squash", image_px=encoder.image_px)
    grid = preprocess.token_grid(sample.size_hw, patch_px=encoder.patch_px)
    pixels_3HW = view_pixels(sample_picture(sample), grid.views, encoder)[0]
    patch_PC = towers.patches(pixels_3HW[None])[0].flatten(0, 1)
    covers = [torch.from_numpy(grid.box_cover(r.box)).float() for r in sample.regions]
    return patch_PC, torch.stack(covers)
