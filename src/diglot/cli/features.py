"""`diglot features`: a frozen encoder's features of a dataset, made before any training."""

from diglot.config.paths import InData, OutFolder, OutJson
from diglot.config.ranges import Workers
from diglot.data.config import FeatureDtype
from diglot.synth.config import EngineName


def features(
    data: InData,
    *,
    like: list[str],
    folder: OutFolder | None = None,
    dtype: FeatureDtype | None = None,
    split: str = "train",
    engine: EngineName = "local",
    workers: Workers | None = None,
    json: OutJson | None = None,
) -> None:
    """Encode every image of a dataset once, into the cache that `features` of a recipe names.

    Training makes what is missing there by itself, on its own devices. This makes it before, by as
    many processes as there are, or on a cluster; the cache is the same. A run that was killed at
    any moment resumes when the same command is given again.

    Examples:
        diglot features data/scenes --like '[embedded/code_switch]' --folder cache --workers 4

        diglot train --config embedded/code_switch --data data/scenes --features.folder cache

    Args:
        data: Dataset folder.
        like: Recipes, later ones over earlier, or a run's config.json: encoder and preprocessing
            are those of this stage.
        folder: Where the cache lies; runs may share it. Default: the recipe's.
        dtype: How features are kept. Default: the recipe's, else float16.
        split: Which split of the dataset.
        engine: local: this machine; ray: Ray Data with a pool of actors, on a cluster if there is
            one, whose machines share the folder.
        workers: Processes, each with an encoder of its own, and each with as many threads as this
            one has (OMP_NUM_THREADS): 0 = in this one. Default: one for each GPU, else 0 (ray: 1).
        json: Write the summary to this file too.
    """
    from diglot.cli.features_run import run_features  # slow to load: not for --help

    run_features(
        data=data,
        like=like,
        folder=folder,
        dtype=dtype,
        split=split,
        engine=engine,
        workers=workers,
        json=json,
    )
