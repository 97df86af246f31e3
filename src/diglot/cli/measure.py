"""`diglot measure`: every measure of alignment that a checkpoint can give, on one dataset."""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diglot import __version__
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.core.result import side_by_side
from diglot.core.rng import check_seed
from diglot.data.config import FeaturesConfig
from diglot.data.features import sample_picture
from diglot.data.records import open_dataset
from diglot.files import write_json
from diglot.measure.checkpoint import (
    Scenes,
    checkpoint_folder,
    measure_subject,
    open_checkpoint,
    open_subject,
    randomise_projector,
)
from diglot.measure.config import MeasureConfig, resolve_measures
from diglot.measure.kept import checkpoint_digest, measure_key, read_record
from diglot.measure.plan import Subject
from diglot.measure.token_maps import map_json
from diglot.measure.word_space import caption_words
from diglot.report.samples import sample_json
from diglot.train.run_folder import environment

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
        examples: Samples whose token maps are kept for the page.
        seed: Of questions and intervals.
    """
    model, chosen = checkpoint_folder(checkpoint), resolve_measures(measure)
    check_seed(seed)
    if examples < 0 or (samples is not None and samples < 1):
        raise ConfigError("too few samples", expected="samples of 1, examples of 0 or more")
    scenes = Scenes(
        train=open_dataset(data, train_split) if train_split else None,
        held_out=open_dataset(data, split),
        features=FeaturesConfig(folder=str(features)) if features else None,
        rejected=json.with_suffix(".rejected.jsonl"),
        first=samples,
    )
    name = label or (checkpoint.resolve() if checkpoint == model else checkpoint).name
    labels = [name, f"{name}, random projector"] if random_projector else [name]
    digests = (*scenes.fingerprints, *labels, f"{examples} examples")
    key = measure_key(model, digests, chosen, seed=seed)
    console = Console()
    record = read_record(json, key)
    if record is None:
        job = _Job(model, scenes, chosen, labels, examples, seed)
        with show_progress() as report:
            record = {"key": key, "data": f"{data.name}, {split}", **job.run(report)}
        write_json(json, record)
    else:
        console.print(f"{json}: measured already, of the same weights, data and settings")
    console.print(_table(record))


@dataclass(frozen=True)
class _Job:
    """One measurement, of one model or also of the model with a fresh projector."""

    model: Path
    scenes: Scenes
    chosen: MeasureConfig
    labels: list[str]
    examples: int
    seed: int

    def run(self, report: Report) -> dict[str, Any]:
        """The record: what was measured, of what, how, where and how long it took."""
        began, vlm = time.perf_counter(), open_checkpoint(self.model)
        measures, shown = [], []
        for number, label in enumerate(self.labels):
            if number:
                vlm = randomise_projector(vlm, self.model, seed=self.seed)
            subject = open_subject(vlm, self.scenes, self.chosen, report)
            measures.append(measure_subject(subject, label, report, seed=self.seed))
            shown.append(_examples(subject, self.examples))
        return {
            "format": 1,
            "runs": self.labels,
            "weights": checkpoint_digest(self.model),
            "fingerprints": list(self.scenes.fingerprints),
            "seed": self.seed,
            "settings": asdict(self.chosen),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - began, 2),
            "environment": {"diglot": __version__, **environment()},
            "measures": list(side_by_side(measures).values()),
            "examples": _join_examples(self.labels, shown),
        }


def _examples(subject: Subject, count: int) -> list[dict[str, Any]]:
    """The first samples with their token maps; nearest words are of their captions and names."""
    samples = [projected.sample for projected in subject.held_out]
    words = caption_words(samples, subject.names)
    return [
        {
            **sample_json(projected.sample, sample_picture(projected.sample)),
            "map": map_json(projected, words, subject.vlm.language),
        }
        for projected in subject.held_out[:count]
    ]


def _join_examples(labels: list[str], shown: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each sample once, with the maps of all labels."""
    joined = []
    for of_sample in zip(*shown, strict=True):
        maps = {label: one["map"] for label, one in zip(labels, of_sample, strict=True)}
        first = {key: value for key, value in of_sample[0].items() if key != "map"}
        joined.append({**first, "token_maps": maps})
    return joined


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
