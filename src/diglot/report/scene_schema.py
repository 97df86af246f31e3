"""The example scenes of a report: image, caption, regions, and what each run sees in them."""

from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from diglot.report.fields import (
    Box,
    ByRun,
    Count,
    ImageUri,
    Misfit,
    Number,
    Record,
    Side,
    Text,
    check_length,
)
from diglot.report.token_schema import TokenDetails, check_details

Span = tuple[Count, Count]


class SceneRegion(Record):
    """One object of a scene; box in pixels of the original image, span in its caption."""

    phrase: Text
    label: Text
    span: Span | None = None
    box: Box
    mask: ImageUri | None = None  # white where the object is
    score: Number = None
    source: Text = ""


class NameMap(Record):
    """Cosine of every visual token with one name; `box` is where the named object truly is."""

    name: Text
    box: Box
    values: tuple[Number, ...]


class TokenMap(Record):
    """One run's visual tokens on one image: box (original pixels) and nearest word of each."""

    boxes: tuple[Box, ...]
    words: tuple[Text, ...] | None = None
    maps: tuple[NameMap, ...]

    @field_validator("words")
    @classmethod
    def check_words(cls, words: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """One a token."""
        check_length(words, len(info.data.get("boxes", words)))
        return words

    @field_validator("maps")
    @classmethod
    def check_maps(cls, maps: tuple[NameMap, ...], info: ValidationInfo) -> tuple[NameMap, ...]:
        """A value a token."""
        for number, named in enumerate(maps):
            tokens = len(info.data.get("boxes", named.values))
            check_length(named.values, tokens, f"[{number}].values")
        return maps


class Scene(Record):
    """One image with its caption and regions."""

    id: Text
    image: ImageUri  # shown stretched to size_hw, so it may be a thumbnail
    size_hw: tuple[Side, Side]
    caption: Text
    regions: tuple[SceneRegion, ...]

    @field_validator("regions")
    @classmethod
    def check_spans(
        cls, regions: tuple[SceneRegion, ...], info: ValidationInfo
    ) -> tuple[SceneRegion, ...]:
        """Spans lie in the caption."""
        length = len(info.data.get("caption", ""))
        for number, region in enumerate(regions):
            start, end = region.span or (0, length)
            if region.span and not start < end <= length:
                expected = f"[start, end) characters of a caption of {length}"
                raise Misfit(expected, f"[{number}].span")
        return regions


class Example(Scene):
    """A scene and what each run makes of it."""

    token_maps: ByRun[TokenMap]
    details: ByRun[TokenDetails] = Field(default={}, validation_alias="token_details")

    @property
    def scene(self) -> Scene:
        """The scene without what the models made of it."""
        return self

    @model_validator(mode="after")
    def check_tokens(self) -> Self:
        """Details are of the tokens of the map."""
        for run, details in self.details.items():
            if run not in self.token_maps:
                raise Misfit("details of a run that has token maps", f".token_details.{run}")
            check_details(details, len(self.token_maps[run].boxes), f".token_details.{run}")
        return self
