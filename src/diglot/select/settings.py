"""Settings: the encoders under test, each with how its projector is trained or where it lies.

A settings file is YAML: label -> {encoder, projector, preprocess}, which overrides the model of the
recipe that all projectors are trained by, or label -> {checkpoint} of one that is trained already,
or label -> {refused: reason} of one that cannot be built, which is named wherever the others are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diglot.config.recipes import read_recipe
from diglot.core.errors import ConfigError, DiglotError
from diglot.data.config import FeaturesConfig
from diglot.measure.checkpoint import checkpoint_folder
from diglot.models.checkpoint import load_config, load_weights, part_file
from diglot.models.device_map import default_device
from diglot.models.language import Language, LanguageConfig
from diglot.models.trainable import Trainable
from diglot.models.vlm import VLM, build_vlm
from diglot.train.config import StageConfig, merge_stage, resolve_stage, stage_config

PARTS = ("encoder", "projector", "preprocess")
MAX_LABEL_CHARS = 80


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One encoder under test; `stage.out` is its folder."""

    label: str
    stage: StageConfig  # resolved; with a checkpoint, only its model and out mean something
    checkpoint: Path | None = None  # of a projector that is trained already

    @property
    def folder(self) -> Path:
        """Where the setting's run and score lie."""
        return Path(self.stage.out)


def read_settings(
    name: str, recipe: str | None, *, data: Path, split: str, out: Path, features: Path
) -> list[Setting]:
    """The settings of a file (or of one bundled with diglot) over a recipe, every part resolved.

    Raises ConfigError naming the setting that cannot work.
    """
    entries = read_recipe(name, option="--settings")
    if not entries:
        raise ConfigError("no settings", expected="label: {encoder: ...} lines", where=name)
    base = {} if recipe is None else read_recipe(recipe, option="--recipe")
    ours = {"data": str(data), "split": split, "probe_every": 0}
    common = {**base, **ours, "features": {**(base.get("features") or {}), "folder": str(features)}}
    refused = refused_settings(name)
    settings = [
        _read_setting(label, entry, common, recipe, out)
        for label, entry in entries.items()
        if label not in refused
    ]
    if not settings:
        raise ConfigError("every setting is refused", got=", ".join(refused), where=name)
    _check_one_language(settings)
    return settings


def refused_settings(name: str) -> dict[str, str]:
    """Label -> reason of a file's settings that cannot be built; the others are read without them.

    Raises ConfigError for a reason that is no text.
    """
    refused = {
        str(label): entry["refused"]
        for label, entry in read_recipe(name, option="--settings").items()
        if isinstance(entry, Mapping) and "refused" in entry and len(entry) == 1
    }
    for label, reason in refused.items():
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigError("a refusal without its reason", where=f"setting {label!r}")
    return refused


def _read_setting(
    label: Any, value: Any, common: Mapping[str, Any], recipe: str | None, out: Path
) -> Setting:
    where = f"setting {str(label)!r}"
    _check_label(label)
    entry = {"encoder": value} if isinstance(value, str) else value
    known = {"checkpoint"} if isinstance(entry, Mapping) and "checkpoint" in entry else set(PARTS)
    if not isinstance(entry, Mapping) or not entry or set(entry) - known:
        expected = "{encoder, projector, preprocess}, or {checkpoint} alone"
        raise ConfigError("not a setting", expected=expected, got=value, where=where)
    try:
        stage = {**common, "out": str(out / label)}
        if "checkpoint" in entry:
            path = Path(str(entry["checkpoint"])).expanduser()
            return trained_setting(label, checkpoint_folder(path), stage)
        if recipe is None:
            raise ConfigError(
                "no checkpoint, and no recipe to train one by",
                fix="Give --recipe, or a checkpoint.",
            )
        merged = merge_stage(stage, {"model": dict(entry)})
        return Setting(label=label, stage=_check_stage(resolve_stage(stage_config(merged))))
    except DiglotError as error:
        raise ConfigError(str(error), where=where) from error


def trained_setting(label: str, checkpoint: Path, stage: Mapping[str, Any]) -> Setting:
    """A setting whose projector is trained already; `stage` gives data, split, out and features.

    Raises ConfigError for a folder that is no checkpoint, or holds a trained LLM.
    """
    model = load_config(checkpoint)
    if part_file(checkpoint, "language").exists():
        raise ConfigError(
            "the language model of this checkpoint was trained too",
            expected="a projector under a frozen language model",
            where=str(checkpoint),
        )
    plain = {name: stage[name] for name in ("data", "split", "out", "features")}
    return Setting(
        label=label, stage=replace(stage_config(plain), model=model), checkpoint=checkpoint
    )


def _check_stage(stage: StageConfig) -> StageConfig:
    """The stage. Raises ConfigError where it trains more than a projector from its start."""
    if stage.trainable != Trainable() or stage.start_from or stage.start_language:
        raise ConfigError(
            "an A score is of a projector alone, trained from its start",
            expected="trainable: {projector: true}, no start_from or start_language",
            where="recipe",
        )
    return stage


def _check_label(label: Any) -> None:
    """A label names a folder."""
    fine = isinstance(label, str) and label.isprintable() and not set(label) & set("/\\,")
    if not fine or label.strip(" .") != label or not 0 < len(label) <= MAX_LABEL_CHARS:
        expected = f"at most {MAX_LABEL_CHARS} characters, no slash or comma, no dot at its ends"
        raise ConfigError("not a label", expected=expected, got=repr(label), where="settings")


def _check_one_language(settings: Sequence[Setting]) -> None:
    first: LanguageConfig = settings[0].stage.model.language
    for setting in settings:
        if setting.stage.model.language != first:
            raise ConfigError(
                "another language model: A scores under different ones cannot be compared",
                expected=first.path,
                got=setting.stage.model.language.path,
                where=f"setting {setting.label!r}",
            )


def build_setting(setting: Setting, language: Language) -> VLM:
    """The setting's model over the shared LLM, its projector trained or at its start.

    Raises ConfigError naming the setting where a part cannot be built.
    """
    try:
        vlm = build_vlm(setting.stage.model, seed=setting.stage.seed, language=language)
        if setting.checkpoint:
            load_weights(vlm, setting.checkpoint)
    except DiglotError as error:
        raise ConfigError(str(error), where=f"setting {setting.label!r}") from error
    return vlm.to(default_device())


def check_settings(settings: Sequence[Setting], language: Language) -> Iterator[int]:
    """Build every setting once and let it go; yields how many visual tokens a square image gets.

    Raises ConfigError as `build_setting`.
    """
    for setting in settings:
        vlm = build_setting(setting, language)
        side = vlm.preprocess.image_px
        yield len(vlm.token_grid((side, side)))


def encoder_of(setting: Setting) -> dict[str, Any]:
    """The encoder, every field of it spelled out."""
    return setting.stage.model.encoder.as_dict()


def features_of(setting: Setting) -> FeaturesConfig:
    """Where and how the encoder's features are kept."""
    assert setting.stage.features is not None  # `read_settings` gives every one a folder
    return setting.stage.features
