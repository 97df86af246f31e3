"""What is asked of the attention of each scene, and the maps that come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from diglot.core.layout import encode, expand_lines, pack
from diglot.core.region_cover import region_pixels
from diglot.core.segments import Encoded, Segment, Tokens
from diglot.core.spans import token_slice
from diglot.core.types import Region
from diglot.measure.attention_rows import attention_of_rows
from diglot.measure.groups import group_of
from diglot.measure.projected import ProjectedSample
from diglot.metrics.pointing import centres_inside
from diglot.models.prompt import Frame, caption_of, open_segments, tokenize_caption
from diglot.models.vlm import VLM

Asker = Literal["entity", "instruction", "last"]


@dataclass(frozen=True)
class Query:
    """One scene's document, and for each object the positions whose attention is wanted."""

    number: int
    scene: ProjectedSample
    encoded: Encoded
    objects: tuple[tuple[Region, tuple[int, ...]], ...]

    @property
    def tokens(self) -> int:
        """Positions that the LLM computes; none where nothing is asked."""
        return len(self.encoded) if self.objects else 0


@dataclass(frozen=True)
class ObjectMap:
    """The attention of one object's query, and the object on the grid."""

    scene: int
    group: str
    weight_LP: np.ndarray  # of every layer, to every visual token
    inside_P: np.ndarray  # bool, the cell's centre lies on the object
    cover_P: np.ndarray  # share of the cell that the object covers
    box_P: np.ndarray  # share of the cell that its box covers
    name: str = ""


def open_queries(
    vlm: VLM, scenes: Sequence[ProjectedSample], frame: Frame, asker: Asker, instruction: str
) -> list[Query]:
    """The documents of all scenes, captions for entities, else the instruction."""
    start = tuple(open_segments(frame, vlm.language.tokenizer, image=True))
    return [
        _open_query(vlm, number, scene, start, asker, instruction)
        for number, scene in enumerate(scenes)
    ]


def _open_query(
    vlm: VLM,
    number: int,
    scene: ProjectedSample,
    start: tuple[Segment, ...],
    asker: Asker,
    instruction: str,
) -> Query:
    sample, tokenizer = scene.sample, vlm.language.tokenizer
    captioned = asker == "entity" and bool(sample.caption.strip())
    text = caption_of(sample, tokenizer) if captioned else tokenize_caption(instruction, tokenizer)
    sequence = expand_lines((*start, Tokens(text.ids)), [scene.grid])
    encoded = encode(sequence, visual_counts=[len(scene.grid)], terms=())
    first, objects = len(encoded) - len(text.ids), []
    for region in sample.regions:
        if asker == "entity":
            span = region.word_span if captioned else None
            found = token_slice(text.offsets_T2, span) if span else None
        else:
            found = (0 if asker == "instruction" else len(text.ids) - 1, len(text.ids))
        if found:
            objects.append((region, tuple(range(first + found[0], first + found[1]))))
    return Query(number, scene, encoded, tuple(objects))


def read_map(vlm: VLM, query: Query) -> list[ObjectMap]:
    """One pass of the scene; a map of every object. Objects that no cell shows are left out."""
    if not query.objects:
        return []
    visual_ND = query.scene.inputs_PD
    packed = pack([query.encoded], row_tokens=1).to(visual_ND.device)
    with torch.inference_mode():
        embeds = vlm.embed(packed, visual_ND)
    wanted = sorted({position for _, positions in query.objects for position in positions})
    weight_LQT = attention_of_rows(vlm.language, packed, embeds, torch.tensor(wanted))
    weight_LQP = _by_visual_token(weight_LQT, query).numpy()
    maps = []
    for region, positions in query.objects:
        mask = region_pixels(region, query.scene.sample.size_hw)
        if mask.any():
            # the queries of one object count alike
            own = weight_LQP[:, [wanted.index(p) for p in positions]].mean(axis=1)
            maps.append(_object_map(query, region, mask, own))
    return maps


def _by_visual_token(weight_LQT: torch.Tensor, query: Query) -> torch.Tensor:
    """The weights in the order of the grid's tokens, float64 (L, Q, P); 0 where one is not read."""
    is_visual_T = query.encoded.visual_T >= 0
    weight_LQP = weight_LQT.new_zeros(*weight_LQT.shape[:2], len(query.scene.grid))
    weight_LQP[:, :, query.encoded.visual_T[is_visual_T]] = weight_LQT[:, :, is_visual_T]
    return weight_LQP.double()


def _object_map(query: Query, region: Region, mask: np.ndarray, weight_LP: np.ndarray) -> ObjectMap:
    grid = query.scene.grid
    return ObjectMap(
        scene=query.number,
        group=group_of(region.source),
        weight_LP=weight_LP,
        inside_P=centres_inside(grid.cells_P4, mask >= 0.5),
        cover_P=grid.mask_cover(mask),
        box_P=grid.box_cover(region.box),
        name=region.name,
    )
