"""`diglot view`: look at a dataset, at image records, or at the report of a run, in a browser."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report
from diglot.core.types import Sample
from diglot.data.images import decode_image, image_size, resolve_inside
from diglot.data.records import Dataset, open_dataset
from diglot.data.schema import from_row
from diglot.report.dataset_page import write_dataset_page
from diglot.report.dataset_stats import SampleTally
from diglot.report.page import write_report
from diglot.report.samples import sample_json

_REPORT, _REJECTED = "report.json", "rejected.jsonl"
_REASONS = 20


def view(
    source: Path,
    out: Path | None = None,
    count: int = 24,
    seed: int = 0,
    split: str = "train",
    only: str | None = None,
    scan: int = 5000,
) -> None:
    """Make one HTML page, which needs no network, of a dataset or of a finished run.

    Examples:
        diglot view data/scenes --split train --count 24 --out page.html

        diglot view runs/demo   (makes runs/demo/report.html anew from its report.json)

    Args:
        source: A dataset folder; a run's folder with its report.json; or a .jsonl file of image
            records, each with id, image (a path relative to the file), caption, maybe regions.
        out: The page to write. Without it: report.html in the run's folder, SPLIT.html in the
            dataset's, or the .jsonl file's name with .html.
        count: How many samples to show, drawn at random.
        seed: Seed of the draw.
        split: Which split of the dataset.
        only: Show this one sample, by its id.
        scan: Most samples to read for the summary, spread evenly over the dataset.
    """
    if count < 1 or scan < 1:
        raise ConfigError("nothing to show", expected="count and scan of at least 1")
    if (source / _REPORT).is_file():
        print(write_report(_read_json(source / _REPORT), out or source / "report.html"))
        return
    samples = _open(source, split)
    default = source / f"{split}.html" if source.is_dir() else source.with_suffix(".html")
    drawn = _draw(samples, only, count, seed)
    page = _page(source, samples, drawn, scan)
    chosen = f"drawn at random with seed {seed}" if only is None else f"the one with id {only}"
    page["title"] = f"{source.resolve().name}, {split}" if source.is_dir() else source.name
    page["note"] = f"{len(drawn)} of {len(samples):,} samples, {chosen}."
    print(write_dataset_page(page, out or default))


@dataclass(frozen=True)
class _ImageRecords:
    """The lines of a .jsonl file as samples."""

    folder: Path
    rows: list[dict[str, Any]]

    @cached_property
    def ids(self) -> list[str]:
        return [str(row.get("id")) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        row = self.rows[index]
        where = f"sample {row.get('id')!r}, image"
        if not isinstance(row.get("image"), str):
            raise DataError("no picture", expected="a path relative to the file", where=where)
        path = resolve_inside(self.folder, row["image"])
        height, width = image_size(path, where=where)
        made = {"caption": "", "regions": [], "lineage": [], "size_hw": [height, width]}
        return from_row(made | row | {"image": {"bytes": path.read_bytes()}})


_Samples = Dataset | _ImageRecords


def _open(source: Path, split: str) -> _Samples:
    if source.is_file() and source.suffix == ".jsonl":
        return _ImageRecords(source.parent, list(_json_lines(source.read_bytes(), where=source)))
    if source.is_dir() and any(source.glob("*.parquet")):
        return open_dataset(source, split)
    raise ConfigError(
        "nothing to view here",
        expected=f"a dataset folder, a run's folder with {_REPORT}, or a .jsonl file",
        got="a folder with neither" if source.is_dir() else "no such folder or .jsonl file",
        where=str(source),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error})", where=str(path)) from error


def _json_lines(content: bytes, *, where: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({error})", where=f"{where}:{number}") from error
        if isinstance(row, dict):
            yield row
        elif row is not None:
            raise DataError("not a record", expected="a JSON object", where=f"{where}:{number}")


def _draw(samples: _Samples, only: str | None, count: int, seed: int) -> list[int]:
    """Indices of the samples to show, in the dataset's order."""
    if only is None:
        size = len(samples)
        return sorted(random.Random(seed).sample(range(size), min(count, size)))
    if only not in samples.ids:
        raise ConfigError(f"no sample has the id {only!r}", fix="Ids stand on the page.")
    return [samples.ids.index(only)]


def _page(source: Path, samples: _Samples, drawn: list[int], scan: int) -> dict[str, Any]:
    """The page's JSON. What cannot be used stands on the page with its reason."""
    tally, unusable = SampleTally(), {}
    shown = []
    with show_progress() as report:
        for index in _counted("reading samples", _spread(len(samples), scan), report):
            with _noting(unusable, samples.ids[index]):
                tally.add(samples[index])
        for index in _counted("drawing samples", drawn, report):
            with _noting(unusable, samples.ids[index]):
                shown.append(_sample_json(samples[index]))
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "facts": {"samples read": f"{tally.samples:,} of {len(samples):,}"} | tally.facts(),
        "charts": tally.charts(),
        "rejected": _rejected(source),
        "unusable": [list(pair) for pair in unusable.items()],
        "samples": shown,
    }


def _counted(stage: str, indices: list[int], report: Report) -> Iterator[int]:
    for done, index in enumerate(indices, start=1):
        yield index
        report(Progress(stage, done, len(indices)))


def _spread(size: int, most: int) -> list[int]:
    """At most `most` indices below `size`, evenly apart."""
    return [index * size // min(size, most) for index in range(min(size, most))]


@contextmanager
def _noting(unusable: dict[str, str], sample_id: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        unusable[sample_id] = str(error)


def _sample_json(sample: Sample) -> dict[str, Any]:
    return sample_json(sample, decode_image(sample.image, where=f"sample {sample.id!r}, image"))


def _rejected(source: Path) -> list[list[Any]]:
    """Count of each reason in the dataset's list of rejected records, the commonest first.

    The file is only read: another process may be adding to it, so a torn last line is left out.
    """
    path = source / _REJECTED
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    rows = _json_lines(whole, where=path)
    counts = Counter(str(row.get("reason", "no reason given")) for row in rows).most_common()
    rest = sum(count for _, count in counts[_REASONS:])
    bars = [list(bar) for bar in counts[:_REASONS]]
    return [*bars, ["other reasons", rest]] if rest else bars
