"""One slice of the input through all steps, and what is kept of it: a part file and its account.

A slice is done when its account is there; both appear whole or not at all, the part first. Nothing
in them depends on which process made them, or on what was made before.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diglot.config.parts import load_part, part_config
from diglot.core.errors import DataError
from diglot.core.types import Lineage, Sample
from diglot.data.schema import arrow_schema, from_row, to_row
from diglot.files import replacing, write_json
from diglot.synth.chain import (
    OPENING,
    StepCount,
    add_step_counts,
    chain_steps,
    count_lost,
    empty_counts,
    open_counted,
    own_seconds,
)
from diglot.synth.config import STEPS
from diglot.synth.kept_steps import keep_state, load_state, name_states
from diglot.synth.source import Source
from diglot.synth.step import Draft, Dropped, Step

ROW_GROUP_ROWS = 16


@dataclass(frozen=True)
class SliceJob:
    """Some items of the source. `careful`: one image at a time, each announced before it is begun,
    since workers died of this slice; `deadly`: the items that they died of.
    """

    number: int
    items: tuple[Any, ...]
    careful: bool = False
    deadly: frozenset[int] = frozenset()
    tries: int = 0


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


@dataclass(frozen=True)
class WorkSpec:
    """All that a worker needs to know; picklable."""

    source: Source
    steps: dict[str, dict[str, Any]]
    folder: Path
    cache: Path
    keeps_steps: bool = False


class SliceWorker:
    """Runs slices; holds the steps with their models, built once."""

    def __init__(self, spec: WorkSpec) -> None:
        self._spec = spec
        os.environ["DIGLOT_SYNTH_CACHE"] = str(spec.cache)  # endpoint answers are kept there
        self._steps = build_steps(spec.steps)

    @property
    def lineage(self) -> list[dict[str, str]]:
        """The line of each step, as every slice's account holds it."""
        return [asdict(step.lineage) for step in self._steps.values()]

    def run(
        self, job: SliceJob, announce: Callable[[int], None] = lambda index: None
    ) -> SliceResult:
        """Run the slice, write its part and account, and return the account.

        `announce` is called with an item's index before it is begun, where the job is careful.
        """
        counts = empty_counts(self._steps)
        rejected: list[Dropped] = []
        rows: list[dict[str, Any]] = []
        lost: list[dict[str, Any]] = []
        for out in self._outputs(job, counts, announce):
            if isinstance(out, Dropped):
                rejected.append(out)
                continue
            count_lost(out, counts)
            lost += [{"id": out.sample.id, **asdict(region)} for region in out.lost]
            try:
                rows.append(to_row(out.sample))  # reads the picture's file
            except DataError as error:
                rejected.append(Dropped.from_error(out.sample.id, error))
        _write_part(part_path(self._spec.folder, job.number), rows)
        result = SliceResult(
            number=job.number,
            images=len(job.items),
            ids=[row["id"] for row in rows],
            steps=_count_json(counts),
            lineage=self.lineage,
            rejected=[asdict(drop) for drop in rejected],
            lost=_plain_numbers(lost),
        )
        write_json(account_path(self._spec.folder, job.number), asdict(result))
        return result

    def _outputs(
        self, job: SliceJob, counts: dict[str, StepCount], announce: Callable[[int], None]
    ) -> Iterator[Any]:
        if not job.careful:
            yield from self._chain(job, counts)
            return
        for index, sample in enumerate(self._read(job)):
            announce(index)
            own = empty_counts(self._steps)
            yield from chain_steps(open_counted([sample], own), self._steps, own)
            add_step_counts(counts, own)

    def _chain(self, job: SliceJob, counts: dict[str, StepCount]) -> Iterator[Any]:
        """All steps, or those behind the last whose outcome is kept."""
        opened = open_counted(self._read(job), counts)
        if not self._spec.keeps_steps:
            return chain_steps(opened, self._steps, counts)
        slice_of = [self._spec.source.describe(), job.items]
        folder = self._spec.cache / "steps"
        paths = name_states(folder, slice_of, self._spec.steps, self._steps)
        names = list(paths)
        begin = max((i + 1 for i, name in enumerate(names) if paths[name].exists()), default=0)
        if begin:
            plain = empty_counts(())  # the kept counts hold the opening's too
            opened = open_counted(self._read(job), plain)
            opened = load_state(paths[names[begin - 1]], opened, counts)
        left = {name: self._steps[name] for name in names[begin:]}

        def keep(items: Iterator[Draft | Dropped], name: str) -> Iterator[Draft | Dropped]:
            so_far = {key: counts[key] for key in (OPENING, *names[: names.index(name) + 1])}
            return keep_state(items, paths[name], so_far)

        return chain_steps(opened, left, counts, keep=keep)

    def _read(self, job: SliceJob) -> Iterator[Sample | Dropped]:
        for index, item in enumerate(job.items):
            if index in job.deadly:
                yield Dropped(id=str(item), reason="its worker was killed twice", step=OPENING)
            else:
                yield self._spec.source.read_item(item)


def build_steps(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Step]:
    """The steps of a resolved recipe with their models."""
    built = {}
    for name, fields in steps.items():
        settings = dict(fields)
        module = load_part(STEPS, settings.pop("step"))
        built[name] = module.build(part_config(module, settings, where=f"steps.{name}"))
    return built


def _count_json(counts: Mapping[str, StepCount]) -> dict[str, dict[str, Any]]:
    seconds = own_seconds(counts)
    return {
        name: {
            "images": count.images,
            "seconds": round(seconds[name], 4),
            "dropped": dict(count.dropped),
            "lost": dict(count.lost),
        }
        for name, count in counts.items()
    }


def _plain_numbers(lost: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON has no NaN: such boxes and scores are written as text."""
    return json.loads(json.dumps(lost), parse_constant=lambda text: text)


def part_path(folder: Path, number: int) -> Path:
    """The samples of a slice."""
    return folder / f"part-{number:07d}.parquet"


def account_path(folder: Path, number: int) -> Path:
    """The account of a slice."""
    return folder / f"slice-{number:07d}.json"


def read_account(folder: Path, number: int) -> SliceResult | None:
    """The account of a slice, or None where it is not done."""
    path = account_path(folder, number)
    if not path.is_file():
        return None
    return SliceResult(**json.loads(path.read_text("utf-8")))


def _write_part(path: Path, rows: list[dict[str, Any]]) -> None:
    with (
        replacing(path) as temporary,
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
