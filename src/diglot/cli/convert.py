"""`diglot convert`: a dataset from another format to ours, from ours to another, or across."""

from typing import Any

from jsonargparse import ArgumentParser

from diglot.config.part_help import add_part_help
from diglot.config.paths import InFolder, InPath, OutFolder, OutJson
from diglot.data.format import OURS, FormatPart


def convert(
    source: InPath,
    *,
    out: OutFolder,
    source_format: str = OURS,
    to: str = OURS,
    images: InFolder | None = None,
    split: str = "train",
    options: dict[str, Any] | None = None,
    json: OutJson | None = None,
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
        source_format: (--from) Format of the source.
        to: Format to write: diglot, or another.
        images: The folder that image paths count from, for formats whose images are apart.
        split: Which split of a dataset folder to read, and to write.
        options: Further settings of the source format; of the written one where the source is ours.
        json: Write the counts to this file too.
    """
    from diglot.cli.convert_run import run_convert  # slow to load: not for --help

    run_convert(
        source=source,
        out=out,
        source_format=source_format,
        to=to,
        images=images,
        split=split,
        options=options,
        json=json,
    )


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments by hand: `--from` is no name in Python."""
    parser.add_argument("source", type=InPath, help="the main file or folder of the source format")
    parser.add_argument("--from", dest="source_format", default=OURS, help=f"{OURS}, or a format.")
    parser.add_function_arguments(convert, as_group=False, skip={"source", "source_format"})
    add_part_help(parser, "from", FormatPart, under="options")
    add_part_help(parser, "to", FormatPart, under="options")
