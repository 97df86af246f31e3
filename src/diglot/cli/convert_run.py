"""What `diglot convert` does once its options are read; this loads the model libraries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diglot.cli.console import open_console, print_rejected
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report
from diglot.core.types import Sample
from diglot.data.convert import (
    Conversion,
    read_dataset,
    read_samples,
    refuse_occupied,
    write_foreign,
    write_split,
)
from diglot.data.format import OURS, Format, FormatPart
from diglot.data.rejected import Rejected, rejected_name
from diglot.data.writer import DatasetWriter
from diglot.files import check_readable_folder, explain_missing, write_json

_EVERY = 50


def run_convert(
    *,
    source: Path,
    out: Path,
    source_format: str,
    to: str,
    images: Path | None,
    split: str,
    options: dict[str, Any] | None,
    json: Path | None,
) -> None:
    """Convert a dataset from one format to another, record by record."""
    if not source.exists():
        raise ConfigError(f"no such source: {explain_missing(source)}", where=str(source))
    if images is not None:
        check_readable_folder(images, "folder of pictures")
    if source_format == to:
        raise ConfigError(f"both formats are {to}", fix="Name another one with --from or --to.")
    done = Conversion()
    listed = _rejected_path(out, to, split)
    given = {"path": str(source), **({"images": str(images)} if images else {}), **(options or {})}
    with show_progress() as report:
        if to == OURS:
            foreign = _build_format(source_format, given)
            info = {"command": "convert", "from": source_format, "options": given}
            with DatasetWriter(out, split=split, info=info) as writer:
                _write_ours(foreign, writer, done, report)
        else:
            refuse_occupied(out)  # before the list of whoever filled it is begun anew
            reject = Rejected.begin(listed).note
            if source_format == OURS:
                samples = read_dataset(source, split, done, reject)
            else:
                samples = read_samples(_build_format(source_format, given), done, reject)
            written = {"path": str(out), "images": str(out / "images"), **(options or {})}
            target = _build_format(to, written)
            write_foreign(_report_samples(samples, report), target, out, done, reject)
    _print_counts(done, out, listed)
    if json:
        write_json(json, {"out": str(out), **done.as_json()})
    if not done.kept:
        raise _nothing_kept(done, source, images, listed)


def _write_ours(source: Format, writer: DatasetWriter, done: Conversion, report: Report) -> None:
    reject = writer.open_rejected(anew=True).note
    samples = _report_samples(read_samples(source, done, reject), report)
    write_split(samples, writer, done, reject)


def _nothing_kept(done: Conversion, source: Path, images: Path | None, rejected: Path) -> DataError:
    reason, count = next(iter(done.rejected.most_common(1)), ("it holds no record", 0))
    times = f" ({count:,} of {done.rejected.total():,} records)" if count else ""
    return DataError(
        f"no record could be used: {reason}{times}",
        where=f"{source}, pictures in {images}" if images else str(source),
        fix=f"See {rejected}; --images names the folder of the pictures, --from the format."
        if count
        else "Check that it is the right file, and its format (--from).",
    )


def _build_format(name: str, given: dict[str, Any]) -> Any:
    """A format with the settings given that it has; `images` may be none of its own."""
    try:
        return FormatPart(name, given, where=f"format {name}").build()
    except ConfigError as error:
        if "images" not in given or "images" not in str(error):
            raise
        rest = {key: value for key, value in given.items() if key != "images"}
        return FormatPart(name, rest, where=f"format {name}").build()


def _rejected_path(out: Path, to: str, split: str) -> Path:
    """In a dataset of ours; beside a folder of another format, which is theirs alone."""
    return out / rejected_name(split) if to == OURS else out.with_name(f"{out.name}.rejected.jsonl")


def _report_samples(samples: Iterator[Sample], report: Report) -> Iterator[Sample]:
    count = 0
    for count, sample in enumerate(samples, start=1):
        yield sample
        if count % _EVERY == 0:
            report(Progress("records", count, count + 1))  # how many there are is not known
    report(Progress("records", count, count))


def _print_counts(done: Conversion, out: Path, rejected: Path) -> None:
    console = open_console(soft_wrap=True, highlight=False)
    counts = done.as_json()
    console.print(f"{done.kept:,} records in {out}")
    print_rejected(console, counts["rejected"], rejected)
    for kind, count in counts["lost"].items():
        console.print(f"{count:,} left out: {kind}")
