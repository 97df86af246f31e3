"""Labels for the very patches that a stage trains: the stage's preprocessing for a labeller."""

from typing import get_args

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.synth.patch_labels.config import LabellerPart
from diglot.synth.patch_labels.labeller import Labeller
from diglot.synth.patch_labels.labellers._nearest_words import OneView
from diglot.train.config import name_recipes, stage_of_recipes


def view_of_stage(recipes: list[str]) -> Preprocess:
    """How the stage of these recipes prepares an image.

    Raises ConfigError for a recipe that is wrong, and for a stage with several views an image.
    """
    model, where = stage_of_recipes(recipes, option="--like").model, name_recipes(recipes)
    side = getattr(model.encoder.config, "image_px", None)
    view = model.preprocess or (Preprocess(image_px=side) if side else None)
    if view is None:
        raise ConfigError(
            "the recipe does not say how an image becomes views",
            where=where,
            fix="Set model.preprocess in it.",
        )
    if view.mode not in get_args(OneView):
        raise ConfigError(
            "labels are of one view an image",
            expected="preprocess.mode of " + ", ".join(get_args(OneView)),
            got=view.mode,
            where=where,
        )
    return view


def follow_stage(labeller: LabellerPart, view: Preprocess) -> LabellerPart:
    """The labeller with the stage's preprocessing. Raises ConfigError where it knows none."""
    known = labeller.module.Config.__dataclass_fields__
    if "preprocess" not in known:
        raise ConfigError(
            "this labeller has no preprocessing to set", got=labeller.name, where="like"
        )
    side = {"image_px": view.image_px} if "image_px" in known else {}
    return LabellerPart(labeller.name, {**labeller.settings, "preprocess": view.mode, **side})


def check_patches(made: Labeller, view: Preprocess) -> None:
    """Raises ConfigError where the labeller's encoder takes views of another size."""
    if hasattr(made, "encoder") and made.preprocess.image_px != view.image_px:
        raise ConfigError(
            "the labeller's encoder takes views of another size, so its patches are others",
            expected=f"{view.image_px} px, as in the recipe",
            got=f"{made.preprocess.image_px} px",
            where="like",
            fix="Label with the encoder that the stage trains on, or leave --like out: a stage "
            "maps labels onto its own grid through the image.",
        )
