"""What `diglot select a-score` does once its options are read; this loads the model libraries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from diglot.cli.console import open_console, print_warning
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError, DataError, first_reason
from diglot.core.progress import Progress, Report
from diglot.data.config import check_cache
from diglot.data.records import open_dataset
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import claim_folder, replace_text, write_json
from diglot.measure.a_score import AScoreConfig
from diglot.measure.a_score_captions import Captions, choose_captions
from diglot.measure.correspondence.run import open_pairs
from diglot.models.config import Frame
from diglot.models.device_map import default_device
from diglot.models.language import Language, load_language
from diglot.select.a_scores import Outcome, score_settings
from diglot.select.c_scores import PAPER, score_encoders
from diglot.select.predictions import as_csv, study_rows
from diglot.select.settings import Setting, check_settings, read_settings, refused_settings


def run_a_score(
    *,
    data: Path,
    settings: str,
    out: Path,
    split: str,
    recipe: str | None,
    train_split: str,
    images: int,
    average: Literal["images", "tokens"],
    end: bool,
    pairs: Path | None,
    features: Path | None,
    seed: int,
    json: Path | None,
) -> None:
    """The A score: log-likelihood per caption token, behind each encoder's projected images."""
    named = {"data": data, "split": train_split, "out": out}
    features = features or out / "features"
    check_cache(features, out=out)
    tried, refused = (
        read_settings(settings, recipe, features=features, **named),
        refused_settings(settings),
    )
    config = AScoreConfig(
        images=images, average=average, end=end, frame=_find_frame(tried), seed=seed
    )
    claim_folder(out, "select a-score", known=("scores.csv",))
    language = load_language(tried[0].stage.model.language)
    with show_progress() as report:
        found = pairs and open_pairs(pairs, PAPER, Rejected(out / "pairs.jsonl"), report)
        captions = prepare(tried, language, data, split, config, out, report)
        outcomes = score_settings(tried, captions, language, config, report)
        c_scores = (
            score_encoders(tried, found, out=out, features=features, report=report) if found else {}
        )
    console = open_console()
    console.print(_scores_table(outcomes, c_scores, config))
    show_refused(refused, console)
    _warn_of_unequal_tokens(outcomes, console)
    _write_rows(outcomes, c_scores, out / "scores.csv", console)
    if json is not None:
        record = scores_record(outcomes, captions, config)
        write_json(json, record | {"c_scores": c_scores, "refused": refused})
    _check_all_scored(outcomes, c_scores if found else None)


def _write_rows(
    outcomes: Sequence[Outcome], c_scores: Mapping[str, Any], path: Path, console: Console
) -> None:
    """The scores as a table that `select fit` reads."""
    a_scores = {o.label: [o.score] for o in outcomes if o.score}
    replace_text(path, as_csv(study_rows([o.label for o in outcomes], a_scores, c_scores, {})))
    console.print(f"scores  {path}", soft_wrap=True)


def _check_all_scored(outcomes: Sequence[Outcome], c_scores: Mapping[str, Any] | None) -> None:
    """Raises DataError that names the settings without an A score, or a C score where it is due."""
    unscored = [o.label for o in outcomes if c_scores is not None and o.label not in c_scores]
    failed = [o.label for o in outcomes if o.error or o.label in unscored]
    if failed:
        reason = first_reason(o.error for o in outcomes)
        raise DataError(
            f"{len(failed)} of {len(outcomes)} settings have no score ({', '.join(failed)}){reason}"
        )


def prepare(
    settings: Sequence[Setting],
    language: Language,
    data: Path,
    split: str,
    config: AScoreConfig,
    out: Path,
    report: Report,
) -> Captions:
    """All that can be found wrong before the first training; the captions."""
    if any(setting.checkpoint is None for setting in settings):
        open_dataset(data, settings[0].stage.split)
    held_out = open_dataset(data, split)
    language.to(default_device())
    captions = choose_captions(
        held_out,
        language.tokenizer,
        Rejected(out / REJECTED),
        images=config.images,
        max_length=language.max_length,
        seed=config.seed,
    )
    for number, _ in enumerate(check_settings(settings, language), start=1):
        report(Progress("settings checked", number, len(settings)))
    return captions


def scores_record(
    outcomes: Sequence[Outcome], captions: Captions, config: AScoreConfig
) -> dict[str, Any]:
    """Plain JSON: what was measured, and by setting the score or the error."""
    return {
        "unit": "nats per token",
        "average": config.average,
        "end": config.end,
        "images": len(captions),
        "settings": {o.label: o.score or {"error": o.error} for o in outcomes},
    }


def _find_frame(settings: Sequence[Setting]) -> Frame:
    """The text around image and caption that the projectors are trained with."""
    trained = [s.stage.objective for s in settings if s.checkpoint is None]
    fields = trained[0].as_dict().get("frame") if trained else None
    try:
        return Frame(**fields) if fields else Frame()
    except TypeError as error:  # an objective of the user's own may call something else a frame
        raise ConfigError(f"not a frame: {error}", where="recipe, objective.frame") from error


def _scores_table(
    outcomes: Sequence[Outcome], c_scores: Mapping[str, Mapping[str, Any]], config: AScoreConfig
) -> Table:
    table = Table(title=f"A score in nats per token, mean over {config.average} [95% interval]")
    table.add_column("setting")
    for name in ("A", "interval", "images", "visual tokens", *(("C",) if c_scores else ())):
        table.add_column(name, justify="right")
    done = [o.score["value"] for o in outcomes if o.score]
    for outcome in sorted(outcomes, key=_rank_outcome):
        score, c = outcome.score, c_scores.get(outcome.label)
        own_c = [f"{c['value']:.3f}" if c else "failed"] if c_scores else []
        if score is None:
            table.add_row(outcome.label, "failed", "", "", "", *own_c)
            continue
        best = "bold" if score["value"] == max(done) else ""
        interval = f"{score['low']:.3f} to {score['high']:.3f}"
        cells = f"{score['value']:.3f}", interval, str(score["n"]), f"{score['visual_tokens']:g}"
        table.add_row(outcome.label, *cells, *own_c, style=best)
    return table


def _rank_outcome(outcome: Outcome) -> float:
    return float("inf") if outcome.score is None else -outcome.score["value"]


def show_refused(refused: Mapping[str, str], console: Console) -> None:
    """A line for each setting that was left out, with its reason."""
    for label, reason in refused.items():
        console.print(f"refused  {label}: {reason}", highlight=False, soft_wrap=True)


def _warn_of_unequal_tokens(outcomes: Sequence[Outcome], console: Console) -> None:
    if len({o.score["visual_tokens"] for o in outcomes if o.score}) > 1:
        message = "the settings differ in visual tokens: A depends on both, encoder and budget"
        print_warning(console, message)
