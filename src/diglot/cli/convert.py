"""`diglot convert`: a dataset from another format to ours, from ours to another, or across."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console

from diglot.cli.progress import show_progress
from diglot.config.parts import build_part, known_parts
from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report
from diglot.core.types import Sample
from diglot.data.convert import (
    Conversion,
    Rejection,
    read_dataset,
    read_samples,
    write_foreign,
    write_split,
)
from diglot.data.rejected import Rejected
from diglot.files import write_json

FORMATS, OURS = "diglot.data.formats", "diglot"
_EVERY = 50


def convert(
    source: Path,
    *,
    out: Path,
    source_format: str = OURS,
    to: str = OURS,
    images: Path | None = None,
    split: str = "train",
    options: dict[str, Any] | None = None,
    json: Path | None = None,
) -> None:
    """Convert a dataset from one format to another, record by record.

    Boxes become pixels of the upright image, boxes a little outside are clipped, regions without
    area are left out. Every record that cannot be used is listed with its reason, and every part
    that the other format cannot hold is counted.

    Examples:
        diglot convert instances_val2017.json --from coco --images val2017 \\
            --options.captions captions_val2017.json --out data/coco

        diglot convert blip_laion_cc_sbu_558k.json --from llava_json --images images \\
            --options.captions true --out data/pretrain

        diglot convert data/scenes --to webdataset --out scenes_tar

    To a dataset of diglot's, a run that was stopped resumes with the same command.

    Args:
        source: The main file or folder of the source format, or a dataset folder.
        out: The folder to write.
        source_format: (--from) Format of the source; a file of diglot.data.formats, or a dotted
            path of your own.
        to: Format to write.
        images: The folder that image paths count from, for formats whose images are apart.
        split: Which split of a dataset folder to read, and to write.
        options: Further settings of the source format; of the written one where the source is ours.
        json: Write the counts to this file too.
    """
    if source_format == to:
        raise ConfigError(f"both formats are {to}", fix="Name another one with --from or --to.")
    done = Conversion()
    rejected = Rejected(_rejected_path(out, to))

    def reject(made: Rejection) -> None:
        rejected.add(made.id, made.reason, where=made.where, detail=made.detail)

    given = {"path": str(source), **({"images": str(images)} if images else {}), **(options or {})}
    with show_progress() as report:
        if source_format == OURS:
            samples = read_dataset(source, split, done, reject)
        else:
            samples = read_samples(_build(source_format, given), done, reject)
        samples = _reported(samples, report)
        if to == OURS:
            info = {"command": "convert", "from": source_format, "options": given}
            write_split(samples, out, split, info, done, reject)
        else:
            written = {"path": str(out), "images": str(out / "images"), **(options or {})}
            write_foreign(samples, _build(to, written), out, done, reject)
    _print(done, out, rejected.path)
    if json:
        write_json(json, {"out": str(out), **done.as_json()})


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments by hand: `--from` is no name in Python."""
    parser.add_argument("source", type=Path, help="the main file or folder of the source format")
    names = ", ".join(format_names())
    parser.add_argument(
        "--from", dest="source_format", default=OURS, help=f"one of: {names}; or a dotted path"
    )
    parser.add_function_arguments(convert, as_group=False, skip={"source", "source_format"})


def format_names() -> list[str]:
    """The formats by name, ours first."""
    return [OURS, *(name for name in known_parts(FORMATS) if name != "spair")]


def _build(name: str, given: dict[str, Any]) -> Any:
    """A format with the settings given that it has; `images` may be none of its own."""
    try:
        return build_part(FORMATS, {"name": name, **given}, where=f"format {name}")
    except ConfigError as error:
        if "images" not in given or "images" not in str(error):
            raise
        rest = {key: value for key, value in given.items() if key != "images"}
        return build_part(FORMATS, {"name": name, **rest}, where=f"format {name}")


def _rejected_path(out: Path, to: str) -> Path:
    """In a dataset of ours; beside a folder of another format, which is theirs alone."""
    return out / "rejected.jsonl" if to == OURS else out.with_name(f"{out.name}.rejected.jsonl")


def _reported(samples: Iterator[Sample], report: Report) -> Iterator[Sample]:
    count = 0
    for count, sample in enumerate(samples, start=1):
        yield sample
        if count % _EVERY == 0:
            report(Progress("records", count, count + 1))  # how many there are is not known
    report(Progress("records", count, count))


def _print(done: Conversion, out: Path, rejected: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    counts = done.as_json()
    console.print(f"{done.kept:,} records in {out}", markup=False)
    for reason, count in counts["rejected"].items():
        console.print(f"{count:,} records rejected, {rejected}: {reason}", markup=False)
    for kind, count in counts["lost"].items():
        console.print(f"{count:,} left out: {kind}", markup=False)
