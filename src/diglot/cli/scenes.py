"""`diglot scenes`: compose a dataset of scenes with exact labels."""

import json as json_text
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from diglot.cli.progress import show_progress
from diglot.cli.verb import parse_arguments
from diglot.core.errors import ConfigError
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.embedded.cifar10 import cifar10
from diglot.embedded.emoji import emoji_files
from diglot.embedded.photos import photo_files
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.conversations import VARIED_SCENES, ConversationMaker, QuestionsConfig
from diglot.synth.scenes.pools import ArrayPool, FolderPool, Pool, SvgPool
from diglot.synth.scenes.write import Maker, write_scenes

_DEFAULTS, _QUESTIONS = ScenesConfig(), QuestionsConfig()


def scenes(
    out: Path,
    *,
    count: int = 256,
    split: str = "train",
    seed: int = 0,
    pictures: Path | None = None,
    cifar_share: float = 0.5,
    shard_samples: int = 256,
    scene: ScenesConfig = _DEFAULTS,
    instruct: bool = False,
    questions: QuestionsConfig = _QUESTIONS,
    json: Path | None = None,
) -> None:
    """Compose scenes of known objects, with boxes, masks and captions that are exact.

    With --instruct the records are conversations for the second stage: questions about each
    scene, whose answers are exact and no more often yes than no; scenes then vary in number,
    colours and repeated kinds unless --scene says otherwise.

    Examples:
        diglot scenes data/scenes --count 64 --split train --seed 0
        diglot scenes data/questions --instruct --count 64

    Run it again to resume after an interruption, or with a larger count to add scenes.

    Args:
        out: Folder of the dataset; several splits may share it.
        count: Scenes the split is to hold in the end.
        split: train, test (unseen pictures), test_names or test_combinations (what
            scene.held_out_names and scene.held_out_pair_share keep out of train).
        seed: Scenes with the same seed, split and settings are the same.
        pictures: Folder of your own pictures, each named by its subfolder or file name, instead
            of the embedded photographs and emoji. The background photographs are still the
            embedded ones, unless scene.texture_share is 1.
        cifar_share: Share of the objects that are CIFAR-10 photographs; the rest are emoji.
        shard_samples: Scenes in a Parquet file.
        scene: How scenes are composed.
        instruct: Write conversations: questions and answers in place of a caption.
        questions: What --instruct asks.
        json: Write the summary to this file too.
    """
    own = FolderPool(pictures) if pictures else None
    pools = [own] if own else embedded_pools(cifar_share=cifar_share)
    photos = embedded_backgrounds() if scene.texture_share < 1 else []
    composer = SceneMaker(pools, scene, split=split, seed=seed, photos=photos)
    maker: Maker = ConversationMaker(composer, questions) if instruct else composer
    with show_progress() as report:
        rejected = write_scenes(
            maker,
            out,
            count,
            shard_samples=shard_samples,
            report=report,
        )
    for path, reason in own.rejected if own else ():
        rejected.add(path, reason)
    summary = summarise(open_dataset(out, split), rejected)
    Console().print(_table(summary))
    if json:
        json.write_text(json_text.dumps(summary, indent=2) + "\n", "utf-8")


def add_arguments(parser: ArgumentParser) -> None:
    """All by the signature but --instruct, which needs no value."""
    parser.add_function_arguments(scenes, as_group=False, as_positional=True, skip={"instruct"})
    parser.add_argument(
        "--instruct",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="write conversations: questions and answers in place of a caption",
    )


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The arguments; with --instruct, scenes that vary where nothing else is asked for."""
    if parse_arguments(parser, args)["instruct"]:
        varied = {f"scene.{k}": v for k, v in asdict(VARIED_SCENES).items()}
        parser.set_defaults(varied)
    return parse_arguments(parser, args)


def embedded_pools(*, cifar_share: float = 0.5) -> list[Pool]:
    """CIFAR-10's ten kinds and 41 emoji, fetched if needed: 51 kinds for scenes."""
    photographs = ArrayPool(
        "cifar10", {"train": cifar10("train"), "test": cifar10("test")}, share=cifar_share
    )
    return [photographs, SvgPool("emoji", _emoji_by_name())]


def embedded_backgrounds() -> list[Path]:
    """Photographs of places, fetched if needed."""
    return photo_files("places")


def _emoji_by_name() -> dict[str, Path]:
    drawings = emoji_files()
    text = files("diglot.synth.scenes").joinpath("emoji.txt").read_text("utf-8")
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, stem = line.partition(" = ")
        if (stem or name) not in drawings:
            raise ConfigError("no such emoji", got=stem or name, where="emoji.txt")
        found[name] = drawings[stem or name]
    return found


def summarise(dataset: Dataset, rejected: Rejected) -> dict:
    """What a split holds: counts, and how often each name appears."""
    labels = [label for scene in dataset.labels for label in scene if label]
    # of a conversation every mention of an object is a region
    return {
        "folder": str(dataset.folder),
        "split": dataset.split,
        "scenes": len(dataset),
        "regions": len(labels),
        "names": {name: labels.count(name) for name in sorted(set(labels))},
        "rejected": rejected.counts,
        "fingerprint": dataset.fingerprint,
    }


def _table(summary: dict) -> Table:
    table = Table(title=f"Scenes, split {summary['split']}", show_header=False)
    names = summary["names"]
    most = sorted(names, key=lambda name: -names[name])[:3]
    rows = {
        "scenes": summary["scenes"],
        "regions": summary["regions"],
        "names": f"{len(names)} (most: {', '.join(f'{n} {names[n]}' for n in most)})",
        "rejected": sum(summary["rejected"].values()),
        "folder": summary["folder"],
        "fingerprint": summary["fingerprint"][:16],
    }
    for reason, number in summary["rejected"].items():
        rows[f"  {reason}"] = number
    for key, value in rows.items():
        table.add_row(key, str(value))
    return table
