"""One slice of the input through all steps.

Nothing that comes out depends on which process made it, or on what was made before.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.samples import check_masks
from diglot.data.schema import check_text, to_row
from diglot.synth.chain import (
    AHEAD_IMAGES,
    OPENING,
    StepCount,
    add_step_counts,
    chain_steps,
    count_lost,
    empty_counts,
    open_counted,
    own_seconds,
)
from diglot.synth.config import StepPart
from diglot.synth.kept_steps import keep_state, load_state, name_states
from diglot.synth.slice_files import SliceResult, write_slice
from diglot.synth.source import Source
from diglot.synth.step import Draft, Dropped, Step
from diglot.synth.work import Announce, SliceJob, announce_nothing


@dataclass(frozen=True)
class MadeSlice:
    """A slice that is done but not yet written: rows of Parquet, and the account."""

    rows: list[dict[str, Any]]
    result: SliceResult


@dataclass(frozen=True)
class WorkSpec:
    """All that a worker needs to know; picklable."""

    source: Source
    steps: dict[str, dict[str, Any]]
    folder: Path
    cache: Path
    keeps_steps: bool = False

    def build_worker(self) -> "SliceWorker":
        """A worker that runs slices through these steps."""
        return SliceWorker(self)


@dataclass(frozen=True)
class OpenedSlice:
    """The pictures of a slice as they are decoded, and the count of that."""

    items: Iterator[Draft | Dropped]
    count: StepCount


class SliceWorker:
    """Runs slices; holds the steps with their models, built once."""

    def __init__(self, spec: WorkSpec) -> None:
        self._spec = spec
        os.environ["DIGLOT_SYNTH_CACHE"] = str(spec.cache)  # endpoint answers are kept there
        self._steps = build_steps(spec.steps)
        batches = (fields.get("batch", 1) for fields in spec.steps.values())
        self._ahead = max(AHEAD_IMAGES, *batches)
        self._models = {name for name, fields in spec.steps.items() if "annotator" in fields}

    @property
    def lineage(self) -> list[dict[str, str]]:
        """The line of each step, as every slice's account holds it."""
        return [asdict(step.lineage) for step in self._steps.values()]

    def open_ahead(self, job: SliceJob) -> "OpenedSlice | None":
        """The slice's pictures, the first of them being decoded already; none where careful."""
        if job.careful:
            return None
        counts = empty_counts(())
        items = open_counted(self._read(job), counts, ahead=self._ahead)
        return OpenedSlice(items, counts[OPENING])

    def make(
        self,
        job: SliceJob,
        opened: "OpenedSlice | None",
        announce: Announce = announce_nothing,
    ) -> MadeSlice:
        """Run the slice of `open_ahead`.

        `announce` is called with an item's index before it is begun, where the job is careful.
        """
        counts = empty_counts(self._steps)
        rejected: list[Dropped] = []
        rows: list[dict[str, Any]] = []
        lost: list[dict[str, Any]] = []
        for out in self._outputs(job, opened, counts, announce):
            if isinstance(out, Dropped):
                rejected.append(out)
                continue
            count_lost(out, counts)
            lost += [{"id": out.sample.id, **asdict(region)} for region in out.lost]
            try:
                rows.append(check_text(to_row(check_masks(out.sample))))  # reads the picture's file
            except DataError as error:
                rejected.append(Dropped.from_error(out.sample.id, error))
        result = SliceResult(
            number=job.number,
            images=len(job.items),
            ids=[row["id"] for row in rows],
            steps=_count_json(counts),
            lineage=self.lineage,
            rejected=[asdict(drop) for drop in rejected],
            lost=_plain_numbers(lost),
        )
        return MadeSlice(rows, result)

    def keep(self, made: MadeSlice) -> None:
        """Write the slice's part and account; another slice may be made meanwhile."""
        write_slice(self._spec.folder, made.rows, made.result)

    def _outputs(
        self,
        job: SliceJob,
        opened: "OpenedSlice | None",
        counts: dict[str, StepCount],
        announce: Announce,
    ) -> Iterator[Any]:
        if opened is not None:
            yield from self._chain(job, opened, counts)
            return
        for index, sample in enumerate(self._read(job)):
            announce(index)
            own = empty_counts(self._steps)
            yield from chain_steps(open_counted([sample], own), self._steps, own)
            add_step_counts(counts, own)

    def _chain(
        self, job: SliceJob, opened: "OpenedSlice", counts: dict[str, StepCount]
    ) -> Iterator[Any]:
        """All steps, or those behind the last whose outcome is kept."""
        items = opened.items
        if not self._spec.keeps_steps:
            counts[OPENING] = opened.count
            return chain_steps(items, self._steps, counts, models=self._models, ahead=self._ahead)
        slice_of = [self._spec.source.describe(), job.items]
        folder = self._spec.cache / "steps"
        paths = name_states(folder, slice_of, self._spec.steps, self._steps)
        names = list(paths)
        begin = max((i + 1 for i, name in enumerate(names) if paths[name].exists()), default=0)
        if begin:  # the kept counts hold the opening's too
            items = load_state(paths[names[begin - 1]], items, counts)
        else:
            counts[OPENING] = opened.count
        left = {name: self._steps[name] for name in names[begin:]}

        def keep(items: Iterator[Draft | Dropped], name: str) -> Iterator[Draft | Dropped]:
            so_far = {key: counts[key] for key in (OPENING, *names[: names.index(name) + 1])}
            return keep_state(items, paths[name], so_far)

        return chain_steps(items, left, counts, keep=keep, models=self._models, ahead=self._ahead)

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
        step = StepPart(settings.pop("step"), settings, where=f"steps.{name}")
        built[name] = step.build()
    return built


def _count_json(counts: Mapping[str, StepCount]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "images": count.images,
            "seconds": round(own_seconds(count), 4),
            "dropped": dict(count.dropped),
            "lost": dict(count.lost),
        }
        for name, count in counts.items()
    }


def _plain_numbers(lost: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON has no NaN: such boxes and scores are written as text."""
    return json.loads(json.dumps(lost), parse_constant=lambda text: text)
