"""`diglot label`: words for every patch of every image of a dataset."""

from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.options import read_settings
from diglot.config.part_help import add_part_help
from diglot.config.paths import InData, OutFolder, OutJson
from diglot.config.ranges import Workers
from diglot.config.recipes import merge_recipes
from diglot.synth.config import EngineName
from diglot.synth.patch_labels.config import LabellerPart

# Options of a labeller that were options of the verb before.
OLDER = ("words", "path", "revision", "keep", "sign", "centre", "patch", "template")


def label(
    data: InData,
    *,
    out: OutFolder,
    labeller: LabellerPart,
    split: str = "train",
    like: list[str] | None = None,
    engine: EngineName = "local",
    workers: Workers | None = None,
    json: OutJson | None = None,
) -> None:
    """Give every patch of every image the words that fit it best: labels for token_contrastive.

    A patch's score for a word is sign * cosine of their vectors under a pair of image and text
    towers; the best ones above 0 are kept, beside the dataset, in shards like its own. They can
    train any encoder: a stage maps them onto its own grid through the image.

    embedded is EfficientNet-Lite0 and the names of ImageNet's classes; clip, siglip and siglip2 are
    the towers of a checkpoint; regions are the names of the regions that the records know already,
    without a model: what a perfect labeller would give. `--labeller.help NAME` lists the options
    of one; --keep stands for --labeller.keep, and likewise for the others.

    A run that was stopped, or killed at any moment, resumes when the same command is given again.

    Examples:
        diglot words data/scenes --out data/words.tsv

        diglot label data/scenes --labeller embedded --out data/labels

        diglot label data/scenes --labeller clip --out data/labels_clip \\
            --labeller.path openai/clip-vit-large-patch14-336 --labeller.words data/words.tsv

        diglot label data/scenes --labeller embedded --like '[embedded/sea]' --out data/labels_sea

        diglot label data/scenes --labeller embedded --out data/labels --workers 4

        diglot train --config embedded/sea --data data/scenes --labels data/labels --out runs/sea

    Args:
        data: Dataset folder.
        out: Folder of the labels.
        labeller: What labels.
        split: Which split of the dataset.
        like: Recipes, later ones over earlier, or a run's config.json: images are prepared as this
            stage prepares them, so that labels are made for the very patches that it trains.
        engine: local: this machine; ray: Ray Data with a pool of actors, on a cluster if there is
            one. The labels are the same.
        workers: Processes, each with a labeller of its own, and each with as many threads as this
            one has (OMP_NUM_THREADS): 0 = in this one. Default: one for each GPU, else 0 (ray: 1).
        json: Write the summary to this file too.
    """
    from diglot.cli.label_run import run_label  # slow to load: not for --help

    engines = {"engine": engine, "workers": workers}
    run_label(data=data, out=out, labeller=labeller, split=split, like=like, json=json, **engines)


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `label`, and the options of every labeller."""
    parser.add_function_arguments(label, as_group=False, as_positional=True)
    add_part_help(parser, "labeller", LabellerPart)


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The values of all options. Raises ConfigError for what is wrong in one."""
    words = [_prefix_older(word) for word in args]
    return read_settings(parser, words, merge=_merge_settings, open_under=("labeller",))


def _prefix_older(word: str) -> str:
    """--keep=2 as --labeller.keep=2."""
    name, equals, value = word.partition("=")
    is_older = name.startswith("--") and name[2:] in OLDER
    return f"--labeller.{name[2:]}{equals}{value}" if is_older else word


def _merge_settings(below: Any, above: Any) -> dict[str, Any]:
    return merge_recipes(below, above, parts={"labeller": {}})
