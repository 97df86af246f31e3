"""Details of an image's visual tokens under one run: `measure/token_details.py` as records."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from diglot.report.fields import Count, Finite, Flag, Misfit, Record, Text, check_length


class Near(NamedTuple):
    """A text near a token, how near, and whether it reads as a word."""

    text: Text
    cosine: Finite
    is_word: Flag


class PursuitStep(Record):
    """One step of matching pursuit for P tokens; parts and what is left over a token's length."""

    texts: tuple[Text, ...]
    are_words: tuple[Flag, ...]
    parts: tuple[Finite, ...]
    left: tuple[Finite, ...]


class PredictedMask(Record):
    """The tokens near a name's vector, and the IoU of their cells with the object."""

    name: Text
    chosen: tuple[Count, ...]
    iou: Finite


def _read_levels(text: Any) -> Any:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else text
    except (binascii.Error, ValueError):
        raise ValueError("base64") from None


def _split_steps(columns: Any) -> Any:
    """A list of steps out of one list a field."""
    if not isinstance(columns, Mapping):
        return columns
    lists = {name: columns.get(name) for name in PursuitStep.model_fields}
    lengths = {len(v) if isinstance(v, list | tuple) else None for v in lists.values()}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(f"{', '.join(lists)} as arrays of one length")
    return [dict(zip(lists, step, strict=True)) for step in zip(*lists.values(), strict=True)]


class AttentionMap(Record):
    """Attention of one object's phrase to P tokens by layer: levels of 0 (lowest) to 255 (highest).

    Results of before `lowest` was kept have none; attention's own floor, 0, stands in for it.
    """

    name: Text
    levels: tuple[Annotated[bytes, BeforeValidator(_read_levels)], ...] = Field(
        validation_alias="layers"
    )
    highest: tuple[Finite, ...]
    lowest: tuple[Finite, ...] = ()

    def values(self, layer: int) -> list[float]:
        """The weight of every token at a layer, counted from 0."""
        low, high = self.ends(layer)
        return [low + level / 255 * (high - low) for level in self.levels[layer]]

    def ends(self, layer: int) -> tuple[float, float]:
        """The lowest and the highest weight at a layer, counted from 0."""
        return self.lowest[layer] if self.lowest else 0.0, self.highest[layer]


class TokenDetails(Record):
    """All of it, in the order of the token boxes."""

    rule: Text
    lexicon: Text
    subtokens: tuple[tuple[Near, ...], ...]
    words: tuple[tuple[Near, ...], ...]
    pursuit: Annotated[tuple[PursuitStep, ...], BeforeValidator(_split_steps)]
    masks: tuple[PredictedMask, ...]
    attention: tuple[AttentionMap, ...]


def check_details(details: TokenDetails, tokens: int, place: str) -> None:
    """Raises Misfit where the details, which stand at `place`, are not of so many tokens."""
    for name, values in _lists_by_token(details):
        check_length(values, tokens, f"{place}.{name}")
    for number, mask in enumerate(details.masks):
        if mask.chosen and max(mask.chosen) >= tokens:
            raise Misfit(f"indices below {tokens}", f"{place}.masks[{number}].chosen")
    for number, attention in enumerate(details.attention):
        layers = len(attention.levels)
        check_length(attention.highest, layers, f"{place}.attention[{number}].highest")
        if attention.lowest:
            check_length(attention.lowest, layers, f"{place}.attention[{number}].lowest")


def _lists_by_token(details: TokenDetails) -> Iterator[tuple[str, Any]]:
    """Every list that has an element a token, with its name."""
    yield from (("subtokens", details.subtokens), ("words", details.words))
    for number, step in enumerate(details.pursuit):
        for name in PursuitStep.model_fields:
            yield f"pursuit.{name}[{number}]", getattr(step, name)
    for number, attention in enumerate(details.attention):
        for layer, levels in enumerate(attention.levels):
            yield f"attention[{number}].layers[{layer}]", levels


class Plane(Record):
    """Visual tokens and word embeddings of one run in [0, 1] x [0, 1]."""

    method: Text
    visual: tuple[tuple[Finite, Finite], ...]
    words: tuple[tuple[Finite, Finite], ...]
