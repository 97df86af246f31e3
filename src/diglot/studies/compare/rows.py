"""The rows of a comparison: recipes merged in order, as settings of one training stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diglot.config.recipes import read
from diglot.core.errors import ConfigError, DiglotError
from diglot.data.config import FeaturesConfig
from diglot.studies.compare.config import CompareConfig
from diglot.train.config import StageConfig, merge_stage, resolve_stage, stage_config

MAX_LABEL_CHARS = 80
# Fields of a stage that are the same for all rows, and the comparison's fields that set them.
OURS = {"data": "data", "out": "out", "split": "split", "seed": "seeds", "max_samples": "samples"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table: its label, its recipes and settings, and the stage that they give."""

    label: str
    config: tuple[str, ...]  # recipes, later ones over earlier ones
    set: Mapping[str, Any]  # single settings over them
    stage: StageConfig  # all of its parts spelled out; without data, out, seed and samples


def read_rows(config: CompareConfig) -> list[Row]:
    """Every row, resolved. Raises ConfigError naming the row whose settings cannot work."""
    entries = {str(label): row for label, row in config.rows.items() if row is not None}
    _check_ours(config.set, where="set")
    rows = [_read_row(config, label, row) for label, row in entries.items()]
    if not rows:
        raise ConfigError("nothing to compare", expected="label: recipe lines", where="rows")
    labels = [row.label for row in rows]
    _check_apart(labels)
    if config.baseline is not None and config.baseline not in labels:
        expected = "one of " + ", ".join(labels)
        raise ConfigError("no such row", expected=expected, got=config.baseline, where="baseline")
    return rows


def _read_row(config: CompareConfig, label: str, entry: Any) -> Row:
    where = f"rows.{label}"
    _check_label(label)
    recipes, settings = _read_entry(entry, where=where)
    _check_ours(settings, where=f"{where}.set")
    try:
        merged: Any = {}
        single = [nested(*item) for item in (*config.set.items(), *settings.items())]
        for layer in (*map(read, recipes), *single):
            merged = merge_stage(merged, layer)
        ours = {"data": config.data, "out": config.out, "split": config.split}
        stage = stage_config({**merged, **ours, "probe_every": 0}, where=where)
        stage = resolve_stage(_with_features(stage, config))
    except DiglotError as error:
        names_row = str(error).startswith(where)
        raise ConfigError(str(error), where=None if names_row else where) from error
    return Row(label=label, config=recipes, set=settings, stage=stage)


def _read_entry(entry: Any, *, where: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The recipes and the single settings of a row."""
    row = dict(entry) if isinstance(entry, Mapping) else {"config": entry}
    recipes, settings = row.pop("config", []), row.pop("set", {}) or {}
    recipes = [recipes] if isinstance(recipes, str) else recipes
    fine = isinstance(recipes, list) and all(isinstance(name, str) for name in recipes)
    if row or not fine or not isinstance(settings, Mapping):
        expected = "a recipe, a list of recipes, or {config: [...], set: {field: value}}"
        raise ConfigError("not a row", expected=expected, got=entry, where=where)
    return tuple(recipes), dict(settings)


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


def _check_ours(settings: Mapping[str, Any], *, where: str) -> None:
    """Raises ConfigError for a setting that the comparison makes for all rows."""
    for field in settings:
        ours = OURS.get(str(field).partition(".")[0])
        if ours:
            fix = f"Give the comparison's `{ours}`."
            raise ConfigError("the same for all rows", where=f"{where}.{field}", fix=fix)


def _with_features(stage: StageConfig, config: CompareConfig) -> StageConfig:
    """The features of a frozen encoder are kept, in one folder for all rows."""
    if stage.trainable.encoder:
        return stage
    folder = config.features or f"{config.out}/features"
    kept = stage.features or FeaturesConfig(folder=folder)
    return replace(stage, features=replace(kept, folder=folder))


def nested(name: str, value: Any) -> dict[str, Any]:
    """("optim.lr", 1) as {"optim": {"lr": 1}}."""
    for key in reversed(str(name).split(".")):
        value = {key: value}
    return value
