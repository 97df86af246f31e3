"""`diglot scenes`: compose a dataset of scenes with exact labels."""

from dataclasses import asdict
from typing import Any, Literal

from jsonargparse import ArgumentParser

from diglot.cli.unread import TEXT_UNREAD, Unread
from diglot.cli.verb import parse_arguments
from diglot.config.paths import InFolder, OutFolder, OutJson
from diglot.config.ranges import ClosedUnitInterval, PositiveInt, Seed
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.conversations import VARIED_SCENES, QuestionsConfig
from diglot.synth.text_scenes.config import TextScenesConfig

_DEFAULTS, _QUESTIONS, _TEXT = ScenesConfig(), QuestionsConfig(), TextScenesConfig()

UNREAD = (
    Unread(
        options=("scene", "pictures", "cifar_share", "instruct", "questions"),
        beside="--kind words or charts",
        holds=lambda values: values["kind"] != "objects",
    ),
    Unread(
        options=("text", "fonts"),
        beside="--kind objects",
        holds=lambda values: values["kind"] == "objects",
    ),
    Unread(
        options=("questions",),
        beside="scenes without --instruct",
        holds=lambda values: not values["instruct"],
    ),
    Unread(
        options=("cifar_share",),
        beside="--pictures",
        holds=lambda values: values["pictures"] is not None,
    ),
    *TEXT_UNREAD,
)


def scenes(
    out: OutFolder,
    *,
    count: PositiveInt = 256,
    split: str = "train",
    seed: Seed = 0,
    pictures: InFolder | None = None,
    cifar_share: ClosedUnitInterval = 0.5,
    shard_samples: PositiveInt = 256,
    scene: ScenesConfig = _DEFAULTS,
    kind: Literal["objects", "words", "charts"] = "objects",
    text: TextScenesConfig = _TEXT,
    fonts: InFolder | None = None,
    instruct: bool = False,
    questions: QuestionsConfig = _QUESTIONS,
    json: OutJson | None = None,
) -> None:
    """Compose scenes of known objects, with boxes, masks and captions that are exact.

    With --instruct the records are conversations for the second stage: questions about each
    scene, whose answers are exact and no more often yes than no; scenes then vary in number,
    colours and repeated kinds unless --scene says otherwise.

    Examples:
        diglot scenes data/scenes --count 64 --split train --seed 0
        diglot scenes data/questions --instruct --count 64
        diglot scenes data/words --kind words --count 64

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
        scene: How scenes of objects are composed.
        kind: What is shown: objects; words on signs, receipts and other pages; or charts, each
            with the regions of its texts and parts.
        text: How words and charts are drawn.
        fonts: Folder of TTF or OTF files for them, instead of the system's.
        instruct: Write conversations: questions and answers in place of a caption.
        questions: What --instruct asks.
        json: Write the summary to this file too.
    """
    from diglot.cli.scenes_run import run_scenes  # slow to load: not for --help

    run_scenes(
        out=out,
        count=count,
        split=split,
        seed=seed,
        pictures=pictures,
        cifar_share=cifar_share,
        shard_samples=shard_samples,
        scene=scene,
        kind=kind,
        text=text,
        fonts=fonts,
        instruct=instruct,
        questions=questions,
        json=json,
    )


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
