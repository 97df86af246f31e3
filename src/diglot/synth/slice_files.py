"""What is kept of a slice that is done: a part file with its samples, and its account.

Both appear whole or not at all, the part first: a slice is done when its account is there.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.core.seals import FIELD as SEAL
from diglot.core.seals import is_changed, seal_record
from diglot.core.types import Lineage, Sample
from diglot.data.schema import arrow_schema, from_row
from diglot.files import file_sha256, replace_file, write_json

STATE = ".synth"  # the folder beside the dataset
ROW_GROUP_ROWS = 16
PART = "part_sha256"  # of an account


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """The account of a slice: what came out, what did not and why, and how long each step took."""

    number: int
    images: int
    ids: list[str]
    steps: dict[str, dict[str, Any]]
    lineage: list[dict[str, str]]
    rejected: list[dict[str, str]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)


def write_slice(folder: Path, rows: list[dict[str, Any]], result: SliceResult) -> None:
    """Write the part and then the account, which knows the part's digest."""
    part = part_path(folder, result.number)
    _write_part(part, rows)
    about = asdict(result) | {PART: file_sha256(part)}
    write_json(account_path(folder, result.number), seal_record(about))


def part_path(folder: Path, number: int) -> Path:
    """The samples of a slice."""
    return folder / f"part-{number:07d}.parquet"


def has_samples(folder: Path) -> bool:
    """Whether a slice that is done has samples there."""
    numbers = [int(path.stem.partition("-")[2]) for path in folder.glob("part-*.parquet")]
    accounts = (read_account(folder, number) for number in numbers)
    return any(account.ids for account in accounts if account)


def account_path(folder: Path, number: int) -> Path:
    """The account of a slice."""
    return folder / f"slice-{number:07d}.json"


def read_account(folder: Path, number: int) -> SliceResult | None:
    """The account of a slice, or None where it is not done; what is damaged is made again."""
    try:
        about = json.loads(account_path(folder, number).read_text("utf-8"))
        fields = {name: value for name, value in about.items() if name not in (SEAL, PART)}
        result = SliceResult(**fields)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    whole = not is_changed(about) and _is_whole_part(part_path(folder, number), about.get(PART))
    return result if whole else None


def _is_whole_part(path: Path, sha256: str | None) -> bool:
    """Whether a part is as it was written; one that is gone is in whole shards."""
    return sha256 is None or not path.exists() or file_sha256(path) == sha256


def _write_part(path: Path, rows: list[dict[str, Any]]) -> None:
    with (
        replace_file(path) as temporary,
        pq.ParquetWriter(temporary, arrow_schema(), compression="none") as writer,
    ):
        for start in range(0, len(rows), ROW_GROUP_ROWS):
            group = rows[start : start + ROW_GROUP_ROWS]
            writer.write_table(pa.Table.from_pylist(group, schema=arrow_schema()))


def read_part(folder: Path, number: int) -> Iterator[Sample]:
    """The samples of a slice, a few at a time."""
    with pq.ParquetFile(part_path(folder, number)) as file:
        for group in range(file.metadata.num_row_groups):
            for row in file.read_row_group(group, use_threads=False).to_pylist():
                yield from_row(row, where=f"part {number}")


def add_counts(total: dict[str, dict[str, Any]], result: SliceResult) -> None:
    """Add a slice's counts to the funnel `total`."""
    for name, step in result.steps.items():
        entry = total.setdefault(name, {"images": 0, "seconds": 0.0, "dropped": {}, "lost": {}})
        entry["images"] += step["images"]
        entry["seconds"] = round(entry["seconds"] + step["seconds"], 4)
        for kind in ("dropped", "lost"):
            entry[kind] = dict(Counter(entry[kind]) + Counter(step[kind]))


def same_lineage(first: list[dict[str, str]], second: list[dict[str, str]]) -> bool:
    """Whether two accounts come of the same models and prompts."""
    return [Lineage(**line) for line in first] == [Lineage(**line) for line in second]
