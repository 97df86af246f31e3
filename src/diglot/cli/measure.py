"""`diglot measure`: every measure of alignment that a checkpoint can give, on one dataset."""

from typing import Any

from jsonargparse import ArgumentParser

from diglot.cli.options import read_settings
from diglot.config.part_help import add_part_help
from diglot.config.paths import InCheckpoint, InData, OutFolder, OutJson
from diglot.config.ranges import NonNegativeInt, PositiveInt, Seed
from diglot.measure.config import MeasureConfig, MeasurePart, every_measure, merge_measures

_MEASURE = every_measure()


def measure(
    checkpoint: InCheckpoint,
    *,
    data: InData,
    json: OutJson,
    split: str = "test",
    train_split: str | None = None,
    samples: PositiveInt | None = None,
    label: str | None = None,
    measure: MeasureConfig = _MEASURE,
    random_projector: bool = False,
    features: OutFolder | None = None,
    examples: NonNegativeInt = 4,
    points: NonNegativeInt = 200,
    seed: Seed = 0,
) -> None:
    """Measure the alignment of a checkpoint on a dataset; the result is one JSON file.

    Every measure comes with its 95% interval, the number of items and its options; a measure that
    the data or the model cannot give is there as not measured. Where --json holds the result of
    the same weights, data, settings and seed already, nothing is measured again. `diglot report`
    makes a page of any number of results.

    Memory does not grow with the images' tokens: those beyond --measure.memory_mb are in a
    temporary file beside --json (3 GB for every 1,000 tokens x 1,000 images x 768 dimensions).
    1,000 images of 729 tokens, 4,096 dimensions and 32 layers take up to 4 GB beside the model.

    Settings of a measure choose it alone; `--measure.measures.help NAME` lists them.

    Examples:
        diglot measure runs/caption --data data/scenes --json caption.json

        diglot measure runs/caption --data data/scenes --json few.json \\
            --measure.measures '{embedding: {threshold: quantile}, layers: {k: 5}}'

        torchrun --nproc_per_node 8 -m diglot measure runs/caption --data data/scenes \\
            --json caption.json   (the data are split over the processes; the figures are the same)

    Args:
        checkpoint: A run folder of `diglot train`, the model folder in it, or the folder of a
            stock vision-language checkpoint.
        data: A dataset folder.
        json: The file to write, with everything the page needs.
        split: The split to measure on.
        train_split: The split trained on: its names are the candidates of naming, and the
            threshold of mask IoU is chosen on it, which is not measured without it.
        samples: Only the first so many samples; without it all, and each measure takes its own
            number of them.
        label: What the checkpoint is called in tables and pages; its folder's name if left out.
        measure: Which measures, with their settings, and what all of them share.
        random_projector: Measure the same model with a projector before training too; of a stock
            checkpoint, whose start is not known, with its projector's weights shuffled.
        features: A folder that the encoder's features are kept in, for the next measurement.
        examples: Samples whose token maps, masks and attention are kept for the page.
        points: Visual tokens, and as many words, in the page's plane of t-SNE, which needs
            scikit-learn (`pip install 'diglot[figures]'`) and is a PCA without it; 0 for none.
        seed: Of questions and intervals.
    """
    from diglot.cli.measure_run import run_measure  # slow to load: not for --help

    run_measure(
        checkpoint=checkpoint,
        data=data,
        json=json,
        split=split,
        train_split=train_split,
        samples=samples,
        label=label,
        measure=measure,
        random_projector=random_projector,
        features=features,
        examples=examples,
        points=points,
        seed=seed,
    )


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `measure`, and the options of every measure."""
    parser.add_function_arguments(measure, as_group=False, as_positional=True)
    add_part_help(parser, "measure.measures", MeasurePart, under="measure.measures.{name}")


def read_arguments(parser: ArgumentParser, args: list[str]) -> dict[str, Any]:
    """The values of all options. Raises ConfigError for what is wrong in one."""
    return read_settings(parser, args, merge=merge_measures, open_under=("measure.measures",))
