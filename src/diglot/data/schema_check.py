"""Whether the columns of a Parquet file are those of a dataset of ours, of either format."""

import pyarrow as pa

from diglot.core.errors import DataError
from diglot.data.schema import OLDER_FIELDS, OPTIONAL_COLUMNS, arrow_schema


def check_columns(schema: pa.Schema, *, where: str) -> None:
    """Raises DataError where a column is missing or of another type."""
    older = schema.get_field_index("images") < 0 <= schema.get_field_index("image")
    expected = {field.name: field.type for field in arrow_schema()}
    if older:
        del expected["images"], expected["sizes_hw"]
        expected |= OLDER_FIELDS
    for name, kind in expected.items():
        index = schema.get_field_index(name)
        if index < 0 and name not in OPTIONAL_COLUMNS:
            raise DataError(
                f"no column {name!r}",
                expected=", ".join(expected),
                got=", ".join(schema.names),
                where=where,
            )
        if index >= 0 and not _types_match(schema.field(index).type, kind):
            raise DataError(
                f"column {name!r} has another type",
                expected=kind,
                got=schema.field(index).type,
                where=where,
            )


def _types_match(found: pa.DataType, ours: pa.DataType) -> bool:
    """Same nesting, and the same kind of value (another width of integer or float will do)."""
    types = pa.types
    if types.is_null(found):  # as pandas writes what is nothing but nulls
        return True
    if types.is_list(ours):
        nested = (
            types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        )
        return nested and _types_match(found.value_type, ours.value_type)
    if types.is_struct(ours):
        return types.is_struct(found) and all(
            found.get_field_index(f.name) < 0 or _types_match(found.field(f.name).type, f.type)
            for f in ours
        )
    kinds = (types.is_integer, types.is_floating, types.is_boolean, _is_text, _is_bytes)
    return any(kind(found) and kind(ours) for kind in kinds)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
