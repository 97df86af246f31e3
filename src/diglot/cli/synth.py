"""`diglot synth`: a grounded dataset from plain images."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.options import read_settings
from diglot.config.part_help import add_part_help
from diglot.config.parts import known_parts
from diglot.config.paths import InPath, OutFile, OutFolder
from diglot.synth.config import AnnotatorPart, StepPart, SynthConfig, merge_recipe


def synth(
    images: InPath,
    *,
    out: OutFolder,
    split: str = "train",
    options: dict[str, Any] | None = None,
    json: Path | None = None,
    **settings: Any,
) -> None:
    """Caption, ground and segment images into a dataset that `diglot train` reads.

    The steps stand in a recipe (--config, again and again: later ones override earlier ones); an
    option sets a field of a step. A killed run resumes when the same command is given
    again. Needs diglot[synth]. `--steps.help NAME` and `--annotator.help NAME` list the options of
    a step and of what annotates in it.

    Examples:
        diglot synth photos --config synth/embedded --out data/photos

        diglot synth photos --config synth/embedded --out data/sure --steps.score.min_score 0.7

        diglot synth photos --config synth/mmcs --out data/mmcs --engine ray --workers 8

        diglot synth captions_val2017.json --from coco --options.images val2017 \\
            --config synth/embedded --out data/coco
    """
    from diglot.cli.synth_run import run_synth  # slow to load: not for --help

    source = (settings.pop("from", None), options or {})
    run_synth(images, source, SynthConfig(**settings), out=out, split=split, json=json)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments, --config, and every field of SynthConfig as an option."""
    parser.add_argument(
        "images",
        type=InPath,
        help="folder of pictures or WebDataset tars, a dataset folder, or what --from names",
    )
    names = ", ".join(name for name in known_parts("diglot.data.formats") if name != "spair")
    parser.add_argument(
        "--from",
        type=str | None,
        default=None,
        help=f"`images` is a dataset of this format of `diglot convert`: {names}",
    )
    parser.add_argument(
        "--options",
        type=dict[str, Any] | None,
        default=None,
        help="further settings of that format, as --options.images FOLDER",
    )
    parser.add_argument("--out", type=Path, required=True, help="dataset folder to make")
    parser.add_argument("--split", type=str, default="train", help="which split of it")
    parser.add_argument("--config", help="a YAML recipe; may repeat, later ones lie over earlier")
    parser.add_argument("--print_config", action="store_true", help="show the settings and stop")
    parser.add_class_arguments(SynthConfig, as_group=False)
    parser.add_argument("--json", type=OutFile | None, help="also write the funnel to this file")
    add_part_help(parser, "steps", StepPart, under="steps.{name}")
    add_part_help(parser, "annotator", AnnotatorPart, under="steps.STEP.annotator")


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The settings of recipes and options. Raises ConfigError for what is wrong in either."""
    return read_settings(parser, args, merge=merge_recipe, open_under=("steps", "options"))
