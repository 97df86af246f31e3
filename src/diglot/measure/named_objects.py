"""The named objects of scenes on their visual tokens: where each is, and how near each token is.

"Near" is the cosine with the name's word vector, the mean of its tokens' input embeddings
(Patch-aligned, Eq. 2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.geometry import TokenGrid
from diglot.core.region_cover import region_pixels
from diglot.measure.groups import group_of
from diglot.measure.projected import ProjectedSample
from diglot.metrics.iou import Target, target_on_grid
from diglot.metrics.pointing import centres_inside
from diglot.models.vlm import VLM
from diglot.models.words import label_vectors


@dataclass(frozen=True)
class NamedObject:
    """One name in one scene: where it is, and how near each token is to its word vector."""

    scene: int
    group: str
    cosine_P: np.ndarray
    inside_P: np.ndarray  # bool, the cell's centre lies on the object
    touching_P: np.ndarray  # bool, the cell lies on the object at all
    flat_cosine_P: np.ndarray  # without the thumbnail, whose cells lie over the tiles'
    target: Target
    label_cosine: float  # of the mean token on the object with its name
    name: str = ""


def find_objects(vlm: VLM, scenes: Sequence[ProjectedSample]) -> list[NamedObject]:
    """Every name of every scene whose regions can be seen at all, with its cosines."""
    return list(iterate_objects(vlm, scenes))


def iterate_objects(vlm: VLM, scenes: Sequence[ProjectedSample]) -> Iterator[NamedObject]:
    """The same, a scene at a time."""
    names = dict.fromkeys(r.name for projected in scenes for r in projected.sample.regions)
    vectors = label_vectors(names, vlm.language)
    for number, projected in enumerate(scenes):
        yield from _objects_of(number, projected, vectors)


def _objects_of(
    scene: int, projected: ProjectedSample, vectors: dict[str, torch.Tensor]
) -> list[NamedObject]:
    """One object per name of the scene; regions of one name count together."""
    objects, visual_PD = [], projected.visual_PD
    for name in dict.fromkeys(region.name for region in projected.sample.regions):
        regions = [region for region in projected.sample.regions if region.name == name]
        size_hw = projected.sample.size_hw
        covered_HW = np.max([region_pixels(r, size_hw) for r in regions], axis=0)
        if not covered_HW.any():
            continue
        cosine = word_cosines(visual_PD, vectors[name])
        flat = projected.grid.in_views(("image", "tile"))
        inside = centres_inside(projected.grid.cells_P4, covered_HW >= 0.5)
        touching = projected.grid.mask_cover(covered_HW) > 0
        objects.append(
            NamedObject(
                scene=scene,
                group=group_of(regions[0].source),
                cosine_P=cosine,
                inside_P=inside,
                touching_P=touching,
                flat_cosine_P=cosine[flat],
                target=target_on_grid(_flat_grid(projected.grid), covered_HW),
                label_cosine=_mean_cosine(
                    visual_PD, inside if inside.any() else touching, vectors[name]
                ),
                name=name,
            )
        )
    return objects


def _mean_cosine(visual_PD: torch.Tensor, on_P: np.ndarray, vector_D: torch.Tensor) -> float:
    """The cosine of the mean of the chosen tokens with a word vector; 0 where none is chosen."""
    if not on_P.any():
        return 0.0
    chosen = torch.from_numpy(np.flatnonzero(on_P)).to(visual_PD.device)
    return float(word_cosines(visual_PD[chosen].mean(dim=0, keepdim=True), vector_D)[0])


def _flat_grid(grid: TokenGrid) -> TokenGrid:
    """The grid without its thumbnail: cells that do not overlap."""
    return TokenGrid(grid.size_hw, tuple(v for v in grid.views if v.kind != "thumbnail"))


def word_cosines(visual_PD: torch.Tensor, vector_D: torch.Tensor) -> np.ndarray:
    """Cosine of each visual token with a word vector, float64 (P,) in [-1, 1]; 0 for a zero one."""
    visual = torch.nn.functional.normalize(visual_PD.detach().double(), dim=-1)
    vector = torch.nn.functional.normalize(vector_D.double(), dim=-1)
    return (visual @ vector).cpu().numpy()
