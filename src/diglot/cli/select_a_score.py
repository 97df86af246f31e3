"""`diglot select a-score`: how well encoders' projected features predict captions."""

from typing import Literal

from diglot.config.paths import InData, InFolder, OutFolder, OutJson
from diglot.config.ranges import PositiveInt, Seed


def a_score(
    *,
    data: InData,
    settings: str,
    out: OutFolder,
    split: str = "test",
    recipe: str | None = None,
    train_split: str = "train",
    images: PositiveInt = 100,
    average: Literal["images", "tokens"] = "images",
    end: bool = False,
    pairs: InFolder | None = None,
    features: OutFolder | None = None,
    seed: Seed = 0,
    json: OutJson | None = None,
) -> None:
    """The A score: log-likelihood per caption token, behind each encoder's projected images.

    Every projector that a setting does not bring is trained by the recipe, all with the same
    budget, under one frozen language model. Run it again to resume after an interruption. A setting
    that cannot be built is reported before the first training; one that fails later stops no other.

    The settings file is YAML: label: {encoder: ..., projector: ..., preprocess: ...}, merged over
    the recipe's model, or label: {checkpoint: FOLDER} for one that is trained.

    OUT/scores.csv holds the scores, with C where --pairs are given: add a column of results, and
    `diglot select fit` and `plan` read it.

    Examples:
        diglot scenes data/scenes --count 256
        diglot scenes data/scenes --count 100 --split test
        diglot select a-score --data data/scenes --recipe embedded/caption \\
            --settings select/embedded_settings --out runs/a
        diglot select scene-pairs data/scene_pairs --count 300
        diglot select a-score --data data/scenes --recipe embedded/caption \\
            --settings select/embedded_settings --out runs/a --pairs data/scene_pairs

    Args:
        data: Dataset folder.
        settings: A YAML file, or the name of one that diglot carries.
        out: Folder of the trainings and scores, one folder a setting.
        split: Held-out split that the scores are taken on.
        recipe: How missing projectors are trained: a recipe as for `diglot train --config`.
        train_split: Split that they are trained on.
        images: Images of the score, drawn at random; fewer where the split has fewer.
        average: images (the mean of each caption's mean, as the paper's formula) or tokens.
        end: Count the end of the text as a token of the caption.
        pairs: Pairs as for `diglot select c-score`: take every encoder's C score too (PCK@0.1).
        features: Folder of the encoders' features; OUT/features where not given.
        seed: Of the images and of the intervals.
        json: Also write the scores to this file.
    """
    from diglot.cli.select_a_score_run import run_a_score  # slow to load: not for --help

    run_a_score(
        data=data,
        settings=settings,
        out=out,
        split=split,
        recipe=recipe,
        train_split=train_split,
        images=images,
        average=average,
        end=end,
        pairs=pairs,
        features=features,
        seed=seed,
        json=json,
    )
