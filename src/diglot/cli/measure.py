"""`diglot measure`: every measure of alignment that a checkpoint can give, on one dataset."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError
from diglot.core.rng import check_seed
from diglot.data.config import FeaturesConfig
from diglot.data.records import open_dataset
from diglot.measure.checkpoint import Scenes, checkpoint_folder
from diglot.measure.config import MeasureConfig, resolve_measures
from diglot.studies.measured import Measurement, keep_measurement

EVERY = (
    "regions",
    "regions_unseen_prompt",
    "presence",
    "localisation",
    "caption_nll",
    "embedding",
    "layers",
    "attention",
)
ARROWS = {True: "↑", False: "↓", None: ""}
_MEASURE = MeasureConfig(measures={name: {} for name in EVERY})


def measure(
    checkpoint: Path,
    *,
    data: Path,
    json: Path,
    split: str = "test",
    train_split: str | None = None,
    samples: int | None = None,
    label: str | None = None,
    measure: MeasureConfig = _MEASURE,
    random_projector: bool = False,
    features: Path | None = None,
    examples: int = 4,
    points: int = 200,
    seed: int = 0,
) -> None:
    """Measure the alignment of a checkpoint on a dataset; the result is one JSON file.

    Every measure comes with its 95% interval, the number of items and its options; a measure that
    the data or the model cannot give is there as not measured. Where --json holds the result of
    the same weights, data, settings and seed already, nothing is measured again. `diglot report`
    makes a page of any number of results.

    Examples:
        diglot measure runs/caption --data data/scenes --json caption.json

        diglot measure runs/caption --data data/scenes --json few.json \\
            --measure.measures '{embedding: {threshold: quantile}, layers: {k: 5}}'

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
        random_projector: Measure the same model with a projector before training too.
        features: A folder that the encoder's features are kept in, for the next measurement.
        examples: Samples whose token maps, masks and attention are kept for the page.
        points: Visual tokens, and as many words, in the page's plane of t-SNE, which needs
            scikit-learn (`pip install 'diglot[figures]'`) and is a PCA without it; 0 for none.
        seed: Of questions and intervals.
    """
    model, chosen = checkpoint_folder(checkpoint), resolve_measures(measure)
    check_seed(seed)
    few = examples < 0 or points < 0 or (samples is not None and samples < 1)
    if few:
        expected = "samples of 1, examples and points of 0 or more"
        raise ConfigError("too few samples", expected=expected)
    scenes = Scenes(
        train=open_dataset(data, train_split) if train_split else None,
        held_out=open_dataset(data, split),
        features=FeaturesConfig(folder=str(features)) if features else None,
        rejected=json.with_suffix(".rejected.jsonl"),
        first=samples,
    )
    name = label or (checkpoint.resolve() if checkpoint == model else checkpoint).name
    job = Measurement(
        model=model,
        scenes=scenes,
        data=f"{data.name}, {split}",
        chosen=chosen,
        labels=(name, f"{name}, random projector") if random_projector else (name,),
        examples=examples,
        points=points,
        seed=seed,
    )
    console = Console()
    with show_progress() as report:
        record, kept = keep_measurement(job, json, report)
    if kept:
        console.print(f"{json}: measured already, of the same weights, data and settings")
    console.print(_table(record))


def _table(record: dict[str, Any]) -> Table:
    table = Table("measure", "unit", *record["runs"], "chance", title=record["data"])
    for entry in record["measures"]:
        results = [entry["results"].get(run) for run in record["runs"]]
        chance = entry["chance"]
        table.add_row(
            f"{entry['title']} {ARROWS[entry['higher_is_better']]}",
            entry["unit"],
            *(_score(result) for result in results),
            "" if chance is None else f"{chance:.3f}",
        )
    return table


def _score(result: dict[str, Any] | None) -> str:
    if result is None or result["value"] is None:
        return "not measured"
    low, high = result["low"], result["high"]
    span = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{result['value']:.3f}{span}, n {result['n']}"
