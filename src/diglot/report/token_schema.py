"""Details of an image's visual tokens under one run: `measure/token_details.py` as records."""

import base64
import binascii
from dataclasses import dataclass

from diglot.report.fields import Field


@dataclass(frozen=True, kw_only=True)
class Near:
    """A text near a token, how near, and whether it reads as a word."""

    text: str
    cosine: float
    is_word: bool


@dataclass(frozen=True, kw_only=True)
class PursuitStep:
    """One step of matching pursuit for P tokens; parts and what is left over a token's length."""

    texts: tuple[str, ...]
    are_words: tuple[bool, ...]
    parts: tuple[float, ...]
    left: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PredictedMask:
    """The tokens near a name's vector, and the IoU of their cells with the object."""

    name: str
    chosen: tuple[int, ...]
    iou: float


@dataclass(frozen=True, kw_only=True)
class AttentionMap:
    """Attention of one object's phrase to P tokens: a level in [0, 255] by layer, and its peak."""

    name: str
    levels: tuple[bytes, ...]
    highest: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class TokenDetails:
    """All of it, in the order of the token boxes."""

    rule: str
    lexicon: str
    subtokens: tuple[tuple[Near, ...], ...]
    words: tuple[tuple[Near, ...], ...]
    pursuit: tuple[PursuitStep, ...]
    masks: tuple[PredictedMask, ...]
    attention: tuple[AttentionMap, ...]


def read_details(field: Field, tokens: int) -> TokenDetails:
    """The details of `tokens` tokens. Raises DataError naming the field."""
    return TokenDetails(
        rule=field.at("rule").text(),
        lexicon=field.at("lexicon").text(),
        subtokens=tuple(_read_near(f) for f in field.at("subtokens").items(length=tokens)),
        words=tuple(_read_near(f) for f in field.at("words").items(length=tokens)),
        pursuit=_read_pursuit(field.at("pursuit"), tokens),
        masks=tuple(_read_mask(f, tokens) for f in field.at("masks").items()),
        attention=tuple(_read_attention(f, tokens) for f in field.at("attention").items()),
    )


def _read_near(field: Field) -> tuple[Near, ...]:
    rows = (near.items(length=3) for near in field.items())
    return tuple(Near(text=t.text(), cosine=c.finite(), is_word=w.flag()) for t, c, w in rows)


def _read_pursuit(field: Field, tokens: int) -> tuple[PursuitStep, ...]:
    texts = field.at("texts").items()
    named = ("are_words", "parts", "left")
    words, parts, left = (field.at(name).items(length=len(texts)) for name in named)
    return tuple(
        PursuitStep(
            texts=tuple(f.text() for f in text.items(length=tokens)),
            are_words=tuple(f.flag() for f in words[k].items(length=tokens)),
            parts=tuple(f.finite() for f in parts[k].items(length=tokens)),
            left=tuple(f.finite() for f in left[k].items(length=tokens)),
        )
        for k, text in enumerate(texts)
    )


def _read_mask(field: Field, tokens: int) -> PredictedMask:
    chosen = tuple(f.count() for f in field.at("chosen").items())
    if chosen and max(chosen) >= tokens:
        raise field.at("chosen").wrong(f"indices below {tokens}")
    return PredictedMask(name=field.at("name").text(), chosen=chosen, iou=field.at("iou").finite())


def _read_attention(field: Field, tokens: int) -> AttentionMap:
    layers = field.at("layers").items()
    highest = field.at("highest").items(length=len(layers))
    return AttentionMap(
        name=field.at("name").text(),
        levels=tuple(_read_levels(f, tokens) for f in layers),
        highest=tuple(f.finite() for f in highest),
    )


def _read_levels(field: Field, tokens: int) -> bytes:
    try:
        levels = base64.b64decode(field.text(), validate=True)
    except (binascii.Error, ValueError):
        raise field.wrong("base64") from None
    if len(levels) != tokens:
        raise field.wrong(f"{tokens} bytes, not {len(levels)}")
    return levels


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Visual tokens and word embeddings of one run in [0, 1] x [0, 1]."""

    method: str
    visual: tuple[tuple[float, float], ...]
    words: tuple[tuple[float, float], ...]


def read_plane(field: Field) -> Plane:
    """A plane. Raises DataError naming the field."""
    return Plane(
        method=field.at("method").text(),
        visual=_read_points(field.at("visual")),
        words=_read_points(field.at("words")),
    )


def _read_points(field: Field) -> tuple[tuple[float, float], ...]:
    rows = (point.items(length=2) for point in field.items())
    return tuple((x.finite(), y.finite()) for x, y in rows)
