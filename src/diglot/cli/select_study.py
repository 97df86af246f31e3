"""`diglot select study`: do A and C predict what the settings reach after equal training?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diglot.cli.progress import show_progress
from diglot.cli.scenes import embedded_backgrounds, embedded_pools
from diglot.core.errors import DataError
from diglot.files import write_json
from diglot.measure.config import MeasureConfig
from diglot.select.predictions import FITS
from diglot.studies.compare.config import cheap_measures
from diglot.studies.encoders import EncoderStudy, StudySizes

_SIZE, _MEASURE = StudySizes(), cheap_measures()


def study(
    *,
    out: Path,
    settings: str = "select/embedded_settings",
    recipe: str = "embedded/caption",
    result_recipe: str = "embedded/code_switch",
    size: StudySizes = _SIZE,
    seeds: tuple[int, ...] = (0,),
    jobs: int | None = None,
    measure: MeasureConfig = _MEASURE,
    json: Path | None = None,
) -> None:
    """Train every setting alike, measure it, take its A and C, and see what predicts what.

    Composes scenes; trains each setting's projector by the recipe, for A, and by result_recipe, for
    the results, on the same scenes; measures both on held-out scenes; takes A on other scenes and C
    on pairs of scenes; fits the law to every measure, with leave-one-out R² and ranks. Writes
    scores.csv (for `diglot select fit` and `plan`) and study.json into --out.

    Run it again to resume after an interruption.

    Example:
        diglot select study --out runs/law --seeds '[0, 1]'

    Args:
        out: Folder of everything the study makes.
        settings: A settings file, or the name of one bundled with diglot; no checkpoints.
        recipe: How projectors are trained that A is taken with.
        result_recipe: How those are trained whose results are to be predicted.
        size: Scenes and pairs.
        seeds: Every setting is trained once with each; scores and results are means.
        jobs: Trainings side by side; as many as the machine suggests where not given.
        measure: Scenes of each measure, as in `diglot compare`.
        json: Also write study.json to this file.
    """
    planned = EncoderStudy(
        out=out,
        settings=settings,
        recipe=recipe,
        result_recipe=result_recipe,
        size=size,
        seeds=seeds,
        measure=measure,
        jobs=jobs,
        pools=embedded_pools(),
        photos=embedded_backgrounds(),
    )
    with show_progress() as report:
        record = planned.run(report)
    console = Console()
    recipes = {name.partition(".")[0] for name in record["settings"][0] if "." in name}
    for stem in sorted(recipes):
        console.print(_scores_table(record["settings"], stem))
    for name, predictions in record["predictions"].items():
        console.print(_predictions_table(predictions, name))
    console.print(f"scores  {out / 'scores.csv'}", soft_wrap=True)
    if json is not None:
        write_json(json, record)
    lacking = [row["setting"] for row in record["settings"] if None in row.values()]
    if lacking:
        raise DataError("some settings lack a score or a result", got=", ".join(lacking))


def _scores_table(rows: Sequence[Mapping[str, Any]], recipe: str) -> Table:
    """The scores, and the results after training by one of the recipes."""
    columns = [name for name in rows[0] if name.startswith(f"{recipe}.")]
    table = Table(title=f"Means over seeds, trained by {recipe}")
    for name in ("setting", "A", "C", *columns):
        head = name.removeprefix(f"{recipe}.").replace("_", " ")
        left = name == "setting"
        table.add_column(head, justify="left" if left else "right", no_wrap=left)
    for row in rows:
        table.add_row(row["setting"], *[_cell(row[name]) for name in ("A", "C", *columns)])
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
            f"{_cell(found['spearman'][score])} ({found['place_of_best'][score]})"
            for score in ("A", "C")
        ]
        fits = [found["fits"][fit] for fit in quadratics]
        shown = [f"{_percent(fit['r2'])} ({_percent(fit['loo_r2'])})" for fit in fits]
        table.add_row(column, *ranks, *shown)
    return table


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.0f}"
