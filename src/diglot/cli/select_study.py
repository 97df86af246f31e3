"""`diglot select study`: do A and C predict what the settings reach after equal training?"""

from diglot.config.paths import InData, InFolder, OutFolder, OutJson
from diglot.config.ranges import PositiveInt, Seed
from diglot.measure.config import MeasureConfig
from diglot.studies.compare.chain_config import EvaluationConfig, FineTuningConfig
from diglot.studies.compare.config import cheap_measures
from diglot.studies.encoder_sizes import StudySizes

_SIZE, _MEASURE = StudySizes(), cheap_measures()


def study(
    *,
    out: OutFolder,
    settings: str = "select/embedded_settings",
    recipe: str = "embedded/caption",
    result_recipe: str = "embedded/code_switch",
    size: StudySizes = _SIZE,
    seeds: tuple[Seed, ...] = (0,),
    jobs: PositiveInt | None = None,
    measure: MeasureConfig = _MEASURE,
    data: InData | None = None,
    pairs: InFolder | None = None,
    sft: FineTuningConfig | None = None,
    evaluate: EvaluationConfig | None = None,
    json: OutJson | None = None,
) -> None:
    """Train every setting alike, measure it, take its A and C, and see what predicts what.

    Composes scenes; trains each setting's projector by the recipe, for A, and by result_recipe, for
    the results, on the same scenes; measures both on held-out scenes; takes A on other scenes and C
    on pairs of scenes; fits the law to every measure, with leave-one-out R² and ranks. Writes
    scores.csv (for `diglot select fit` and `plan`) and study.json into --out.

    Run it again to resume after an interruption.

    Example:
        diglot select study --out runs/law --seeds '[0, 1]'

    The paper's own settings with its two stages are select/law_settings; its head has the command.

    Args:
        out: Folder of everything the study makes.
        settings: A settings file, or the name of one bundled with diglot; no checkpoints.
        recipe: How projectors are trained that A is taken with.
        result_recipe: How those are trained whose results are to be predicted.
        size: Scenes and pairs.
        seeds: Every setting is trained once with each; scores and results are means.
        jobs: Trainings side by side; as many as the machine suggests where not given.
        measure: Scenes of each measure, as in `diglot compare`.
        data: Dataset folder with the splits train and test in place of composed scenes.
        pairs: SPair-71k's folder, or other pairs, in place of composed ones.
        sft: A second stage behind result_recipe, as in `diglot compare`: {data: ..., config: ...}.
        evaluate: Questions asked of what the training ends with, as in `diglot compare`.
        json: Also write study.json to this file.
    """
    from diglot.cli.select_study_run import run_study  # slow to load: not for --help

    run_study(
        out=out,
        settings=settings,
        recipe=recipe,
        result_recipe=result_recipe,
        size=size,
        seeds=seeds,
        jobs=jobs,
        measure=measure,
        data=data,
        pairs=pairs,
        sft=sft,
        evaluate=evaluate,
        json=json,
    )
