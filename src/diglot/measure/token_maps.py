"""What each visual token is near to: cosine maps of names, and the nearest name of every token.

Source: the token maps of Patch-aligned and SEA (argmax over words of cos(x_v, t_w)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from diglot.core.types import Region
from diglot.measure.projected import ProjectedSample
from diglot.models.language import Language
from diglot.models.words import label_vectors


@dataclass(frozen=True)
class TokenMaps:
    """Of one image's P visual tokens: cosine with the names of its regions, and nearest name."""

    regions: tuple[Region, ...]
    cosine_RP: torch.Tensor  # in [-1, 1], float32, one row per region
    nearest_P: tuple[str, ...]  # among all candidate names


@torch.no_grad()
def token_maps(projected: ProjectedSample, names: Sequence[str], language: Language) -> TokenMaps:
    """The maps of one image. `names` are the candidates of the nearest name."""
    regions = projected.sample.regions
    vectors = label_vectors({*names, *(r.name for r in regions)}, language)
    cosine_NP = _pairwise_cosine(torch.stack([vectors[n] for n in names]), projected.visual_PD)
    own = (
        torch.stack([vectors[r.name] for r in regions])
        if regions
        else cosine_NP.new_zeros(0, projected.visual_PD.shape[1])
    )
    nearest: tuple[str, ...] = tuple(names[int(i)] for i in cosine_NP.argmax(dim=0))
    return TokenMaps(regions, _pairwise_cosine(own, projected.visual_PD).cpu(), nearest)


def map_json(
    projected: ProjectedSample, names: Sequence[str], language: Language
) -> dict[str, Any]:
    """The maps of one image as the report takes them."""
    maps = token_maps(projected, names, language)
    return {
        "boxes": projected.grid.cells_P4.tolist(),
        "words": list(maps.nearest_P),
        "maps": [
            {"name": region.name, "box": list(region.box), "values": row.tolist()}
            for region, row in zip(maps.regions, maps.cosine_RP, strict=True)
        ],
    }


def _pairwise_cosine(left_ND: torch.Tensor, right_PD: torch.Tensor) -> torch.Tensor:
    unit = torch.nn.functional.normalize
    return unit(left_ND.float(), dim=1) @ unit(right_PD.float(), dim=1).T
