"""What `diglot select study` does once its options are read; this loads the model libraries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.cli.select_a_score_run import show_refused
from diglot.core.errors import DataError, first_reason
from diglot.files import claim_folder, write_json
from diglot.measure.config import MeasureConfig
from diglot.select.predictions import FITS
from diglot.studies.compare.chain_config import EvaluationConfig, FineTuningConfig
from diglot.studies.encoder_data import StudyData
from diglot.studies.encoder_sizes import StudySizes
from diglot.studies.encoders import EncoderStudy
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools


def run_study(
    *,
    out: Path,
    settings: str,
    recipe: str,
    result_recipe: str,
    size: StudySizes,
    seeds: tuple[int, ...],
    jobs: int | None,
    measure: MeasureConfig,
    data: Path | None,
    pairs: Path | None,
    sft: FineTuningConfig | None,
    evaluate: EvaluationConfig | None,
    json: Path | None,
) -> None:
    """Train every setting alike, measure it, take its A and C, and see what predicts what."""
    claim_folder(out, "select study", known=("study.json", "scores.csv", "a", "c"))
    planned = EncoderStudy(
        out=out,
        settings=settings,
        recipe=recipe,
        result_recipe=result_recipe,
        data=_choose_data(out, size, data, pairs),
        seeds=seeds,
        measure=measure,
        jobs=jobs,
        sft=sft,
        evaluate=evaluate,
    )
    with show_progress() as report:
        record = planned.run(report)
    _print_record(record, out)
    if json is not None:
        write_json(json, record)
    lacking = [row["setting"] for row in record["settings"] if None in row.values()]
    if lacking:
        raise DataError(
            f"some settings lack a score or a result ({', '.join(lacking)})"
            f"{first_reason(record['failed'])}",
            fix="The same command tries them again.",
        )


def _choose_data(out: Path, size: StudySizes, data: Path | None, pairs: Path | None) -> StudyData:
    """The study's data: pictures to compose scenes or pairs of only where one is not given."""
    composes = data is None or pairs is None
    return StudyData(
        out=out,
        size=size,
        data=data,
        pairs=pairs,
        pools=embedded_pools() if composes else [],
        photos=embedded_backgrounds() if composes else [],
    )


def _print_record(record: Mapping[str, Any], out: Path) -> None:
    """The scores by recipe, what they predict, and the settings that were refused."""
    console = open_console()
    recipes = {name.partition(".")[0] for name in record["settings"][0] if "." in name}
    for stem in sorted(recipes):
        console.print(_scores_table(record["settings"], stem))
    for name, predictions in record["predictions"].items():
        console.print(_predictions_table(predictions, name))
    show_refused(record["refused"], console)
    console.print(f"scores  {out / 'scores.csv'}", soft_wrap=True)


def _scores_table(rows: Sequence[Mapping[str, Any]], recipe: str) -> Table:
    """The scores, and the results after training by one of the recipes."""
    columns = [name for name in rows[0] if name.startswith(f"{recipe}.")]
    table = Table(title=f"Means over seeds, trained by {recipe}")
    for name in ("setting", "A", "C", *columns):
        head = name.removeprefix(f"{recipe}.").replace("_", " ")
        left = name == "setting"
        table.add_column(head, justify="left" if left else "right", no_wrap=left)
    for row in rows:
        table.add_row(row["setting"], *[_format_cell(row[name]) for name in ("A", "C", *columns)])
    return table


def _predictions_table(predictions: Mapping[str, Mapping[str, Any]], name: str) -> Table:
    table = Table(
        title=f"What predicts what, {name}",
        caption="A, C: rank correlation with the result (place of the best setting). "
        "Quadratics: R² (leave-one-out R²), per cent.",
    )
    quadratics = [fit for fit in FITS if fit.endswith("quadratic")]
    for head in ("result", "A", "C", *quadratics):
        table.add_column(head, justify="left" if head == "result" else "right")
    for column, found in predictions.items():
        ranks = [
            f"{_format_cell(found['spearman'][score])} ({found['place_of_best'][score]})"
            for score in ("A", "C")
        ]
        fits = [found["fits"][fit] for fit in quadratics]
        shown = [f"{_format_percent(fit['r2'])} ({_format_percent(fit['loo_r2'])})" for fit in fits]
        table.add_row(column, *ranks, *shown)
    return table


def _format_cell(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _format_percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.0f}"
