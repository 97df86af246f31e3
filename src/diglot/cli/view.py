"""`diglot view`: samples of a dataset or of image records, or the report of a run, as a page."""

from collections.abc import Mapping
from typing import Any

from diglot.cli.unread import Unread
from diglot.config.paths import InFolder, InPath, OutPage
from diglot.config.ranges import PositiveInt, Seed
from diglot.core.run_files import METRICS, REPORT


def _holds_pairs(values: Mapping[str, Any]) -> bool:
    from diglot.cli.view_pairs import holds_pairs  # slow to load: not for --help

    return holds_pairs(values["source"])


def _holds_report(values: Mapping[str, Any]) -> bool:
    source = values["source"]
    one_file = source.is_file() and source.suffix == ".json"
    return one_file or any((source / name).is_file() for name in (REPORT, METRICS))


_OF_DATASETS = ("split", "only", "phrase", "labels", "tokens", "scan")
UNREAD = (
    Unread(
        options=("count", "seed", *_OF_DATASETS),
        beside="a run's report",
        holds=_holds_report,
    ),
    Unread(
        options=_OF_DATASETS,
        beside="a folder of pairs",
        holds=_holds_pairs,
    ),
    Unread(
        options=("count", "seed", "phrase"),
        beside="--only",
        holds=lambda values: values["only"] is not None,
    ),
    Unread(
        options=("labels",),
        beside="--tokens",
        holds=lambda values: values["tokens"] is not None,
    ),
)


def view(
    source: InPath,
    out: OutPage | None = None,
    count: PositiveInt = 24,
    seed: Seed = 0,
    split: str = "train",
    only: str | None = None,
    phrase: str | None = None,
    labels: InFolder | None = None,
    tokens: str | None = None,
    scan: PositiveInt = 5000,
) -> None:
    """Make one HTML page, which needs no network, of a dataset or of a finished run.

    Of a dataset: its statistics, what was rejected by reason, and samples with boxes and masks
    beside the caption or conversation in matching colours; buttons show only those with a phrase.

    Examples:
        diglot view data/scenes --split train --count 24 --out page.html

        diglot view data/scenes --phrase dog --labels data/labels

        diglot view runs/demo   (makes runs/demo/report.html anew from its report.json)

        diglot view data/questions --tokens embedded/sft --count 4

    Args:
        source: A folder of a dataset, of pairs, of a demo or of a training run; a result of `diglot
            measure` (.json); or a .jsonl file of image records, each with id, image (a path
            relative to the file), caption, maybe regions.
        out: The page to write. Without it: report.html in the run's folder, SPLIT.html in the
            dataset's, pairs.html in that of pairs, or the file's name with .html.
        count: How many samples to show, drawn at random.
        seed: Seed of the draw.
        split: Which split of the dataset.
        only: Show this one sample, by its id.
        phrase: Show only samples with a region whose phrase or label holds these words.
        labels: Patch labels that `diglot label` wrote of this dataset: the words are drawn too.
        tokens: A recipe, or a run's folder: show the samples as it trains them, every token,
            learned or not.
        scan: Most samples to read for the statistics, spread evenly over the dataset, and in search
            of a phrase.
    """
    from diglot.cli.view_run import run_view  # slow to load: not for --help

    run_view(
        source=source,
        out=out,
        count=count,
        seed=seed,
        split=split,
        only=only,
        phrase=phrase,
        labels=labels,
        tokens=tokens,
        scan=scan,
    )
