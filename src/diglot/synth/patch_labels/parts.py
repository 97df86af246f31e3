"""What is kept of a slice of labels until it is in the dataset's own shards: a part file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.data.rejected import Rejection
from diglot.files import replace_file
from diglot.synth.patch_labels.labeller import PatchWords

_SCHEMA = pa.schema(
    [
        ("words", pa.list_(pa.list_(pa.int32()))),  # per patch, best first
        ("scores", pa.list_(pa.list_(pa.float32()))),
        ("rejected", pa.string()),  # JSON of a Rejection
    ]
)


@dataclass(frozen=True)
class MadeLabels:
    """The labels of a slice's samples, in order."""

    number: int
    rows: list[PatchWords | Rejection]


def part_path(folder: Path, number: int) -> Path:
    """The part of a slice; it is done when that is there."""
    return folder / f"part-{number:07d}.parquet"


def write_part(folder: Path, made: MadeLabels) -> None:
    """Write a part, whole or not at all."""
    rows = [_to_row(row) for row in made.rows]
    with replace_file(part_path(folder, made.number)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary)


def _to_row(row: PatchWords | Rejection) -> dict[str, object]:
    if isinstance(row, Rejection):
        return {"words": [], "scores": [], "rejected": json.dumps(asdict(row))}
    return {"words": row.words, "scores": row.scores, "rejected": None}


def read_part(folder: Path, number: int) -> MadeLabels:
    """The labels of a slice that is done."""
    rows = pq.read_table(part_path(folder, number), use_threads=False).to_pylist()
    return MadeLabels(number, [_from_row(**row) for row in rows])


def _from_row(
    words: list[list[int]], scores: list[list[float]], rejected: str | None
) -> PatchWords | Rejection:
    return PatchWords(words, scores) if rejected is None else Rejection(**json.loads(rejected))
