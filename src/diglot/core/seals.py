"""Records that know whether they are whole: plain JSON with a digest of the rest of it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FIELD = "digest"
CHANGED = "not as it was written: damaged, or changed since"


def seal_record(content: Mapping[str, Any]) -> dict[str, Any]:
    """The record as plain JSON, with its digest as the last field."""
    plain = json.loads(json.dumps(dict(content)))
    plain.pop(FIELD, None)
    return {**plain, FIELD: _digest_record(plain)}


def is_whole(record: Any) -> bool:
    """Whether it is a record that was sealed, and is as it was then."""
    return isinstance(record, dict) and record.get(FIELD) == _digest_record(record)


def is_changed(record: Any) -> bool:
    """Whether it was sealed and is not as it was then; one without a seal cannot be known."""
    return isinstance(record, dict) and FIELD in record and not is_whole(record)


def _digest_record(record: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in record.items() if name != FIELD}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
