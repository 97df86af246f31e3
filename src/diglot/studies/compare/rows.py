"""The rows of a comparison: recipes merged in order, as settings of one training stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from diglot.config.parts import as_plain
from diglot.config.read import nest_value
from diglot.config.recipes import read_recipe
from diglot.core.errors import ConfigError, DiglotError
from diglot.data.config import FeaturesConfig, check_cache
from diglot.models.checkpoint import has_language
from diglot.studies.compare.config import CompareConfig
from diglot.train.config import StageConfig, merge_stage, resolve_stage, stage_config

MAX_LABEL_CHARS = 80
# Fields of a stage that are the same for all rows, and the comparison's fields that set them.
OURS = {"data": "data", "out": "out", "split": "split", "seed": "seeds", "max_samples": "samples"}
# The same of the second stage; it starts from the row's first stage, with the same model.
OURS_SFT = {
    **{"data": "sft.data", "out": "out", "split": "sft.split", "seed": "seeds"},
    **{"max_samples": "sft.samples", "start_from": "rows", "model": "rows"},
}
KNOWN = {"config", "set", "sft", "pretrain"}


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One row of the table: its label, its recipes and settings, and the stage that they give."""

    label: str
    config: tuple[str, ...]  # recipes, later ones over earlier ones
    set: Mapping[str, Any]  # single settings over them
    stage: StageConfig  # all of its parts spelled out; without out, seed and samples
    pretrain: bool = True  # False: the projector stays as it is before training
    sft: Mapping[str, Any] = field(default_factory=dict)  # single settings of the second stage
    second: StageConfig | None = None  # the second stage, likewise


def read_rows(config: CompareConfig) -> list[StudyRow]:
    """Every row, resolved. Raises ConfigError naming the row whose settings cannot work."""
    entries = {str(label): row for label, row in config.rows.items() if row is not None}
    _check_ours(config.set, OURS, where="set")
    _check_ours(config.sft.set if config.sft else {}, OURS_SFT, where="sft.set")
    if unknown := sorted(set(config.only) - set(entries)):
        expected = "some of " + ", ".join(entries)
        raise ConfigError("no such row", expected=expected, got=unknown[0], where="only")
    chosen = [label for label in entries if not config.only or label in config.only]
    rows = [_read_row(config, label, entries[label]) for label in chosen]
    if not rows:
        raise ConfigError("nothing to compare", expected="label: recipe lines", where="rows")
    _check_apart(chosen)
    if config.baseline is not None and config.baseline not in entries:
        expected = "one of " + ", ".join(entries)
        raise ConfigError("no such row", expected=expected, got=config.baseline, where="baseline")
    return rows


def _read_row(config: CompareConfig, label: str, entry: Any) -> StudyRow:
    where = f"rows.{label}"
    _check_label(label)
    row = _read_entry(entry, where=where)
    _check_ours(row.set, OURS, where=f"{where}.set")
    _check_ours(row.sft, OURS_SFT, where=f"{where}.sft")
    if row.sft and config.sft is None:
        raise ConfigError("there is no second stage", where=f"{where}.sft", fix="Give `sft`.")
    try:
        ours = {"data": config.data, "out": config.out, "split": config.split}
        stage = _read_stage(config, row.config, (config.set, row.set), ours, where=where)
        second = _second_stage(config, row, stage, where=f"{where}.sft") if config.sft else None
    except DiglotError as error:
        names_row = str(error).startswith(where)
        raise ConfigError(str(error), where=None if names_row else where) from error
    return StudyRow(
        label=label,
        config=row.config,
        set=row.set,
        stage=stage,
        pretrain=row.pretrain,
        sft=row.sft,
        second=second,
    )


def _second_stage(
    config: CompareConfig, row: "_Entry", stage: StageConfig, *, where: str
) -> StageConfig:
    """The second stage of a row: the recipe of all rows, what the row adds, and its model."""
    sft = config.sft
    assert sft is not None
    ours: dict[str, Any] = {
        **{"data": sft.data, "out": config.out, "split": sft.split, "max_samples": sft.samples},
        "model": as_plain(stage.model),
    }
    second = _read_stage(config, sft.recipes, (sft.set, row.sft), ours, where=where)
    learned = stage.trainable.language or stage.trainable.lora or stage.start_language
    if second.start_language and (learned or _starts_with_language(stage)):
        raise ConfigError(
            "the first stage has a language model of its own",
            expected="no trainable.language, trainable.lora or start_language in it",
            where=f"{where}.start_language",
        )
    return second


def _starts_with_language(stage: StageConfig) -> bool:
    return bool(stage.start_from) and has_language(Path(str(stage.start_from)))


def _read_stage(
    config: CompareConfig,
    recipes: Sequence[str],
    settings: Sequence[Mapping[str, Any]],
    ours: Mapping[str, Any],
    *,
    where: str,
) -> StageConfig:
    """Recipes, then single settings over them, then what the comparison sets."""
    merged: Any = {}
    single = [nest_value(str(item[0]), item[1]) for layer in settings for item in layer.items()]
    for layer in (*map(read_recipe, recipes), *single):
        merged = merge_stage(merged, layer)
    stage = stage_config({**merged, **ours, "probe_every": 0}, where=where)
    return resolve_stage(_with_features(stage, config))


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A row as it is written."""

    config: tuple[str, ...]
    set: dict[str, Any]
    sft: dict[str, Any]
    pretrain: bool


def _read_entry(entry: Any, *, where: str) -> _Entry:
    """The recipes and the single settings of a row."""
    row = dict(entry) if isinstance(entry, Mapping) else {"config": entry}
    recipes = row.get("config", [])
    recipes = [recipes] if isinstance(recipes, str) else recipes
    given, added = (row.get(name) or {} for name in ("set", "sft"))
    pretrain = row.get("pretrain", True)
    fine = isinstance(recipes, list) and all(isinstance(name, str) for name in recipes)
    fine = fine and isinstance(given, Mapping) and isinstance(added, Mapping)
    if set(row) - KNOWN or not fine or not isinstance(pretrain, bool):
        expected = "a recipe, a list of recipes, or {config: [...], set: {field: value}, ...}"
        raise ConfigError("not a row", expected=expected, got=entry, where=where)
    return _Entry(config=tuple(recipes), set=dict(given), sft=dict(added), pretrain=pretrain)


def _check_label(label: str) -> None:
    """A label names a folder too."""
    fine = label.isprintable() and not set(label) & set("/\\") and label.strip(" .") == label
    if not label or not fine or len(label) > MAX_LABEL_CHARS:
        expected = f"at most {MAX_LABEL_CHARS} characters, no slash, no dot or blank at its ends"
        raise ConfigError("not a label", expected=expected, got=repr(label), where="rows")


def _check_apart(labels: Sequence[str]) -> None:
    """Labels that some disks take for the same folder are refused on all."""
    labels_by_fold: dict[str, str] = {}
    for label in labels:
        twin = labels_by_fold.setdefault(label.casefold(), label)
        if twin != label:
            expected = "labels that differ in more than capital letters"
            raise ConfigError("too alike", expected=expected, got=[twin, label], where="rows")


def _check_ours(settings: Mapping[str, Any], ours: Mapping[str, str], *, where: str) -> None:
    """Raises ConfigError for a setting that the comparison makes for all rows."""
    for name in settings:
        theirs = ours.get(str(name).partition(".")[0])
        if theirs:
            fix = f"Give the comparison's `{theirs}`."
            raise ConfigError("the same for all rows", where=f"{where}.{name}", fix=fix)


def _with_features(stage: StageConfig, config: CompareConfig) -> StageConfig:
    """The features of a frozen encoder are kept, in one folder for all rows."""
    if stage.trainable.encoder:
        return stage
    folder = config.features or f"{config.out}/features"
    check_cache(Path(folder), out=Path(config.out))
    kept = stage.features or FeaturesConfig(folder=folder)
    return replace(stage, features=replace(kept, folder=folder))
