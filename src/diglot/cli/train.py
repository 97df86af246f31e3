"""`diglot train`: one training stage by a recipe."""

from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.options import read_settings
from diglot.config.part_help import add_part_help
from diglot.config.paths import OutJson
from diglot.models.config import EncoderPart, ProjectorPart
from diglot.train.config import (
    PARTS,
    MixedPart,
    ObjectivePart,
    StageConfig,
    check_paths,
    check_sections,
    merge_stage,
)


def train(**settings: Any) -> None:
    """Train one stage: align a projector by an objective, or fine-tune with it.

    Settings come from YAML recipes (--config, again and again: later ones override earlier ones)
    and from options, which override the recipes. A part (--objective, --model.encoder,
    --model.projector) is chosen by its name; --objective.entity_weight 0 sets a field of it.
    --print_config shows the settings and stops; --dry_run also builds the model, and shows steps,
    tokens, and what learns.

    A killed run resumes when the same command is given again. On several GPUs:
    accelerate launch -m diglot train ...; by several processes of a CPU (accelerate starts one):
    torchrun --nproc_per_node 2 -m diglot train ...

    Examples:
        diglot scenes data/scenes --count 512
        diglot train --config embedded/code_switch --data data/scenes --out runs/mmcs
        diglot train --config embedded/code_switch --data data/scenes --out runs/no_entity \\
            --objective.entity_weight 0 --optim.lr 5e-4
        tensorboard --logdir runs
    """
    json: OutJson | None = settings.pop("json")
    dry_run: bool = settings.pop("dry_run")
    config = StageConfig(**settings)
    check_paths(config)
    from diglot.cli.train_run import run_train, show_summary  # slow to load: after what is quick

    (show_summary if dry_run else run_train)(config, json)


def add_arguments(parser: ArgumentParser) -> None:
    """--config, and every field of StageConfig as an option."""
    parser.add_argument("--config", help="a YAML recipe; may repeat, later ones lie over earlier")
    parser.add_argument("--print_config", action="store_true", help="show the settings and stop")
    parser.add_class_arguments(StageConfig, as_group=False)
    parser.add_argument(
        "--dry_run",
        type=bool,
        default=False,
        nargs="?",
        const=True,
        help="build everything, show what the run would do, stop before step 0 and write nothing",
    )
    parser.add_argument(
        "--json", type=OutJson | None, default=None, help="also write the losses to this file"
    )
    add_part_help(parser, "objective", ObjectivePart)
    add_part_help(parser, "plus", ObjectivePart, under="plus.{name}")
    add_part_help(parser, "mix", MixedPart, under="mix.{name}")
    add_part_help(parser, "model.encoder", EncoderPart)
    add_part_help(parser, "model.projector", ProjectorPart)


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The settings of recipes and options. Raises ConfigError for what is wrong in either."""
    return read_settings(
        parser,
        args,
        merge=merge_stage,
        open_under=(*PARTS, "plus", "mix"),
        check=check_sections,
    )
