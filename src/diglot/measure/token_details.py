"""What a page shows of one image's visual tokens beyond names: words, pursuit, masks, attention.

Sources: Patch-aligned Fig. 1 and 4 (predicted masks), Fig. 5 (the nearest sub-token of every patch,
as large as it is similar, coloured where it is a word), Fig. 6 (matching pursuit by iteration); SEA
Eq. 5 (the nearest words of a list); MMCS Fig. 6 (attention from an entity to the image).
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diglot.core.errors import ConfigError
from diglot.measure.attention_maps import Asker, ObjectMap, open_queries, read_map
from diglot.measure.attention_rows import record_rows
from diglot.measure.lexicon import Lexicon
from diglot.measure.named_objects import find_objects
from diglot.measure.projected import ProjectedSample
from diglot.measure.word_space import WordSpace
from diglot.metrics.align import Rule, align_iou, chosen_tokens
from diglot.metrics.matching_pursuit import matching_pursuit
from diglot.metrics.nearest import largest_products
from diglot.metrics.tacs import unit_rows
from diglot.models.config import Frame
from diglot.models.vlm import VLM

NEAREST = 5
DIGITS = 3


@dataclass(frozen=True)
class Details:
    """What the details of every image share."""

    vlm: VLM
    space: WordSpace
    lexicon: Lexicon
    frame: Frame
    rule: Rule | float = "otsu"  # of the predicted masks, as of Align
    steps: int = 5  # of matching pursuit
    asker: Asker = "entity"  # whose attention
    instruction: str = ""  # behind the image, where no entity asks


def token_details(scene: ProjectedSample, details: Details) -> dict[str, Any]:
    """The details of one image's P visual tokens, as plain JSON, in the order of the grid."""
    visual_PD = scene.visual_PD.detach().float().cpu().numpy()
    space = details.space
    return {
        "rule": str(details.rule),
        "lexicon": details.lexicon.source,
        "subtokens": _nearest_texts(visual_PD, space.token_VD, space.token_text, details.lexicon),
        "words": _nearest_texts(
            visual_PD, space.word_WD, lambda w: space.words[w], details.lexicon
        ),
        "pursuit": _pursue_tokens(visual_PD, details),
        "masks": _choose_masks(scene, details),
        "attention": _map_attention(scene, details),
    }


def _nearest_texts(
    visual_PD: np.ndarray, vector_WD: np.ndarray, text: Callable[[int], str], lexicon: Lexicon
) -> list[list[list[Any]]]:
    """[text, cosine, is a word] of the nearest vectors of every token, nearest first."""
    if not len(vector_WD):
        return [[] for _ in visual_PD]
    index_PK, cosine_PK = largest_products(unit_rows(visual_PD), vector_WD, k=NEAREST)
    return [
        [
            [text(w), round(cosine, DIGITS), lexicon.holds(text(w))]
            for w, cosine in zip(index_K, cosine_K, strict=True)
        ]
        for index_K, cosine_K in zip(index_PK.tolist(), cosine_PK.tolist(), strict=True)
    ]


def _pursue_tokens(visual_PD: np.ndarray, details: Details) -> dict[str, Any]:
    """Of every step: the sub-token of each token, if it is a word, its part, and what is left."""
    space, lexicon = details.space, details.lexicon
    found = matching_pursuit(visual_PD, space.token_VD, steps=details.steps)
    size_P1 = np.linalg.norm(visual_PD, axis=1, keepdims=True).clip(min=1e-12)
    text_KP = [[space.token_text(int(w)) for w in step] for step in found.word_PK.T]
    return {
        "texts": text_KP,
        "are_words": [[lexicon.holds(text) for text in step] for step in text_KP],
        # a part over the token's own length is its cosine at the first step
        "parts": np.round(found.part_PK / size_P1, DIGITS).T.tolist(),
        "left": np.round(found.left_PK, DIGITS).T.tolist(),
    }


def _choose_masks(scene: ProjectedSample, details: Details) -> list[dict[str, Any]]:
    """The tokens that the rule chooses for every name, and the IoU of their cells with the mask."""
    flat_F = np.flatnonzero(scene.grid.in_views(("image", "tile")))
    return [
        {
            "name": named.name,
            "chosen": flat_F[
                chosen_tokens(named.flat_cosine_P, named.target, details.rule)
            ].tolist(),
            "iou": round(align_iou(named.flat_cosine_P, named.target, details.rule), DIGITS),
        }
        for named in find_objects(details.vlm, [scene])
    ]


def _map_attention(scene: ProjectedSample, details: Details) -> list[dict[str, Any]]:
    """Attention from every phrase, or from the instruction, to the tokens by layer.

    None where the model gives none.
    """
    asker, instruction = details.asker, details.instruction
    query = open_queries(details.vlm, [scene], details.frame, asker, instruction)[0]
    try:
        with record_rows(details.vlm.language):
            maps = read_map(details.vlm, query)
    except ConfigError:  # of its attention; the measure says which
        return []
    if asker == "entity":
        return [_pack_map(of_object, of_object.name) for of_object in maps]
    name = instruction if asker == "instruction" else f"{instruction} (last token)"
    return [_pack_map(of_object, name) for of_object in maps[:1]]  # the objects share it


def _pack_map(of_object: ObjectMap, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "layers": [pack_levels(weight_P) for weight_P in of_object.weight_LP],
        # what the levels stand for, so that maps side by side can share a scale
        "lowest": [_four_digits(weight_P.min()) for weight_P in of_object.weight_LP],
        "highest": [_four_digits(weight_P.max()) for weight_P in of_object.weight_LP],
    }


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def pack_levels(value_P: np.ndarray) -> str:
    """Values from their lowest (0) to their highest (255), a byte each, as base64 (MMCS Fig. 6)."""
    low, high = float(value_P.min()), float(value_P.max())
    share_P = (value_P - low) / (high - low) if high > low else np.zeros(len(value_P))
    return base64.b64encode(np.round(255 * share_P).astype(np.uint8).tobytes()).decode("ascii")


def unpack_levels(text: str) -> Sequence[int]:
    """The bytes of `pack_levels`."""
    return base64.b64decode(text)
