"""The fields that pages are made of, as types that pydantic checks; an error names its field."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from diglot.core.errors import DataError

R = TypeVar("R", bound="Record")
T = TypeVar("T")

# pydantic's words for what JSON calls otherwise
_PLAIN = {
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "an array",
    "tuple_type": "an array",
    "string_type": "a string",
    "bool_type": "true or false",
    "string_pattern_mismatch": "data:image/png, jpeg or webp;base64,...",
    "missing_argument": "a longer array",
    "unexpected_positional_argument": "a shorter array",
}


class Record(BaseModel):
    """A checked record. Fields that it does not know are left out; null is an absent option."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, raw: Any) -> Any:
        """Without the options that are null."""
        if not isinstance(raw, Mapping):
            return raw
        optional = {
            str(key)
            for name, field in cls.model_fields.items()
            if not field.is_required()
            for key in (name, field.validation_alias)
        }
        return {k: v for k, v in raw.items() if v is not None or k not in optional}


class Misfit(ValueError):
    """A value that does not fit another field; `place` is where, from the field that is checked."""

    def __init__(self, expected: str, place: str = "") -> None:
        super().__init__(expected)
        self.place = place


def read_record(kind: type[R], data: Any, *, where: str, runs: tuple[str, ...] | None = None) -> R:
    """The record in `data`; `runs` are the names that fields by run may have.

    Raises DataError naming the first field that cannot be used.
    """
    try:
        return kind.model_validate(data, context=runs)
    except ValidationError as error:
        raise _name_field(error, where) from None


def _name_field(error: ValidationError, where: str) -> DataError:
    """The first mistake, with its place and what was expected there."""
    first = error.errors(include_url=False)[0]
    *above, last = first["loc"] or ("",)
    if first["type"] == "missing":
        there = first["input"] if isinstance(first["input"], Mapping) else {}
        path = _write_path(where, above)
        return DataError(
            f"field {last!r} is missing", got="only " + ", ".join(map(str, there)), where=path
        )
    expected = _PLAIN.get(first["type"], first["msg"])
    for opening in ("Input should be ", "Value error, "):
        expected = expected.removeprefix(opening)
    shown = repr(first["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    inner = getattr(first.get("ctx", {}).get("error"), "place", "")
    path = _write_path(where, first["loc"]) + inner
    if expected.startswith("no run is called"):
        return DataError(expected, where=path)
    return DataError("field cannot be used", expected=expected, got=shown, where=path)


def _write_path(where: str, loc: Any) -> str:
    return where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


def _replace_halves(text: str) -> str:
    """Lone surrogates, which no page can hold, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _drop_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _order_box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError("a box [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
    return box


def _order_runs(by_run: Any, info: ValidationInfo) -> Any:
    """In the order of the runs; a record that is made without runs is left as it is."""
    runs = info.context
    if runs is None or not isinstance(by_run, Mapping):
        return by_run
    if unknown := [name for name in by_run if name not in runs]:
        raise ValueError(f"no run is called {unknown[0]!r}; expected one of {', '.join(runs)}")
    return {run: by_run[run] for run in runs if run in by_run}


Text = Annotated[StrictStr, AfterValidator(_replace_halves)]
Flag = StrictBool
Number = Annotated[StrictFloat | None, BeforeValidator(_drop_nan)]
"""A number, maybe infinite; null and NaN, which stand for "not measured", are None."""
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[StrictInt, Field(ge=0)]
Side = Annotated[StrictInt, Field(ge=1)]
Box = Annotated[tuple[Finite, Finite, Finite, Finite], AfterValidator(_order_box)]
"""xyxy pixels."""
ImageUri = Annotated[
    StrictStr,
    Field(pattern=r"^data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}\z"),
]
"""A picture held in the document itself; any other address is refused."""
ByRun = Annotated[dict[Text, T], BeforeValidator(_order_runs)]
Named = dict[Text, T]


def check_length(values: Any, length: int, place: str = "") -> None:
    """Raises Misfit for another number of values; `place` is that of the values: "[0].words"."""
    if len(values) != length:
        raise Misfit(f"{length} elements, not {len(values)}", place)
