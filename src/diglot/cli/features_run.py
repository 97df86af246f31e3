"""What `diglot features` does once its options are read; this loads the model libraries."""

from pathlib import Path

from diglot.cli.console import open_console, print_rejected
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError
from diglot.data.config import FeatureDtype, FeaturesConfig, check_cache
from diglot.data.records import open_dataset
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import write_json
from diglot.synth.config import EngineName
from diglot.synth.engines.choose import count_workers
from diglot.synth.feature_slices import fill_features, listed_name
from diglot.train.config import StageConfig, stage_of_recipes


def run_features(
    *,
    data: Path,
    like: list[str],
    folder: Path | None,
    dtype: FeatureDtype | None,
    split: str,
    engine: EngineName,
    workers: int | None,
    json: Path | None,
) -> None:
    """Fill the cache, with progress on stderr, and show what it holds."""
    if not like:
        raise ConfigError("no recipe is named", expected="--like '[RECIPE]'", where="--like")
    stage = stage_of_recipes(like, option="--like")
    config = choose_cache(stage, folder, dtype)
    check_cache(Path(config.folder))
    dataset = open_dataset(data, split)
    rejected = Rejected(Path(config.folder) / REJECTED)
    with show_progress() as report:
        cache = fill_features(
            stage.model,
            dataset,
            config,
            rejected,
            report,
            engine=engine,
            workers=count_workers(workers),
        )
    summary = {"folder": str(cache.folder), "samples": len(dataset)}
    counts = rejected.counts_of(listed_name(cache))
    summary |= {"bytes": cache.size_bytes, "rejected": counts}
    size_gb = cache.size_bytes / 1e9
    console = open_console()
    console.print(f"features of {len(dataset)} samples, {size_gb:.3f} GB, in {cache.folder}")
    print_rejected(console, counts, rejected.path)
    if json:
        write_json(json, summary)


def choose_cache(
    stage: StageConfig, folder: Path | None, dtype: FeatureDtype | None
) -> FeaturesConfig:
    """The recipe's cache, with what was given in place of its settings. Raises ConfigError where
    neither says where it lies, and for an encoder that learns."""
    if stage.trainable.encoder:
        raise ConfigError("cached features need a frozen encoder", where="trainable.encoder")
    known = stage.features
    if folder is None and known is None:
        raise ConfigError(
            "the recipe does not say where features are kept", where="folder", fix="Give --folder."
        )
    kept = str(folder) if folder or not known else known.folder
    return FeaturesConfig(folder=kept, dtype=dtype or (known.dtype if known else "float16"))
