"""Do A and C predict what encoders reach after equal training? Every step, on composed scenes.

After "Law of Vision Representation in MLLMs", section 5, with encoders that are at hand: each
setting's projector is trained by captions, as the paper's stage 1, for its A score; its features
are matched for its C score; and what it reaches is measured on held-out scenes, after training by a
recipe of its own, and where one is given by the second stage, as in the paper. A study that was
killed resumes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diglot.config.recipes import read_recipe
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Report, rename_stages
from diglot.data.records import open_dataset
from diglot.data.rejected import REJECTED, Rejected
from diglot.files import replace_text, write_json
from diglot.measure.a_score import AScoreConfig
from diglot.measure.a_score_captions import choose_captions
from diglot.measure.config import MeasureConfig
from diglot.models.device_map import default_device
from diglot.models.language import load_language
from diglot.select.a_scores import score_settings
from diglot.select.c_scores import parts_of, score_encoders
from diglot.select.predictions import as_csv, fit_predictions, study_rows
from diglot.select.settings import (
    Setting,
    encoder_of,
    read_settings,
    refused_settings,
    trained_setting,
)
from diglot.select.table import read_table
from diglot.studies.compare.chain_config import EvaluationConfig, FineTuningConfig
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.study import open_study
from diglot.studies.encoder_data import StudyData
from diglot.train.config import stage_of_recipes


@dataclass(frozen=True, kw_only=True)
class EncoderStudy:
    """A and C scores of encoder settings beside the results of training with each, in `out`."""

    out: Path
    settings: str  # a settings file, as `diglot select a-score` takes it
    recipe: str  # trains the projectors that A is taken with
    result_recipe: str  # trains those whose results are predicted
    data: StudyData
    seeds: Sequence[int]
    measure: MeasureConfig
    jobs: int | None
    sft: FineTuningConfig | None = None  # follows on the training by result_recipe
    evaluate: EvaluationConfig | None = None  # asked of what result_recipe and sft end with

    def run(self, report: Report) -> dict[str, Any]:
        """All of it; returns what stands in study.json. Raises DataError where nothing trained."""
        recipes, tried = self._recipe_names, self._read_tried()
        for option, recipe in (("recipe", self.recipe), ("result_recipe", self.result_recipe)):
            stage_of_recipes([recipe], option=f"--{option}")
        self.data.check_given(report)
        self.data.make(report)
        done = {
            name: self._train_settings(name, recipe, tried, report)
            for name, recipe in recipes.items()
        }
        a_scores, failed = self._a_scores(tried, report)
        jobs = [job for study in done.values() for job in study["jobs"]]
        failed = [f"{j['row']}: {j['reason']}" for j in jobs if j["state"] == "failed"] + failed
        c_scores = self._c_scores(tried, report)
        columns = {
            f"{name}.{key}": {
                line["row"]: line for line in study["table"] if line["measure"] == key
            }
            for name, study in done.items()
            for key, head in study["measures"].items()
            if head["higher_is_better"] is not None
        }
        rows = study_rows([s.label for s in tried], a_scores, c_scores, columns)
        higher = {
            f"{name}.{key}": head["higher_is_better"]
            for name, study in done.items()
            for key, head in study["measures"].items()
            if head["higher_is_better"] is not None
        }
        untrained = {s.label for s in tried if _never_trained(s)}
        return self._write_record(rows, higher, untrained, failed)

    @property
    def _recipe_names(self) -> dict[str, str]:
        """Name of a column's first half -> recipe; one where both are the same."""
        named = {Path(recipe).stem: recipe for recipe in (self.recipe, self.result_recipe)}
        if len(named) < 2 and self.recipe != self.result_recipe:
            raise ConfigError(
                "two recipes of one name", got=self.result_recipe, where="result_recipe"
            )
        return named

    @property
    def _features_folder(self) -> Path:
        return self.out / "features"

    def _read_tried(self) -> list[Setting]:
        tried = read_settings(
            self.settings,
            self.recipe,
            data=self.data.scenes,
            split="train",
            out=self.out / "a",
            features=self._features_folder,
        )
        trained = [setting.label for setting in tried if setting.checkpoint]
        if trained:
            raise ConfigError(
                "a study trains every setting alike",
                expected="settings without a checkpoint",
                got=trained[0],
                where=self.settings,
            )
        return tried

    def _train_settings(
        self, name: str, recipe: str, tried: Sequence[Setting], report: Report
    ) -> dict[str, Any]:
        """Train and measure every setting by one recipe: a comparison whose rows are settings."""
        entries = read_recipe(self.settings)
        config = CompareConfig(
            data=str(self.data.scenes),
            out=str(self.out / name),
            rows={s.label: _recipe_row(recipe, entries[s.label]) for s in tried},
            samples=[self.data.size.scenes],
            seeds=list(self.seeds),
            title=f"Settings trained by {recipe}",
            features=str(self._features_folder),
            jobs=self.jobs,
            measure=self.measure,
            **self._chain(recipe),
        )
        return open_study(config).run(rename_stages(report, lambda stage: f"{name}: {stage}"))

    def _chain(self, recipe: str) -> dict[str, Any]:
        """What follows on the training by the recipe of the results, as the paper's stage 2."""
        if recipe != self.result_recipe:
            return {}
        return {"sft": self.sft, "evaluate": self.evaluate}

    def _a_scores(
        self, tried: Sequence[Setting], report: Report
    ) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
        """A of every checkpoint that is there, by label, one a seed; and why others have none."""
        runs = {
            f"{setting.label}-{seed}": (setting.label, checkpoint)
            for setting in tried
            for seed in self.seeds
            if (
                checkpoint := self._checkpoint_folder(setting, seed)
            ).exists()  # a failure leaves none
        }
        if not runs:
            raise DataError("no training came to its end", where=str(self.out))
        checkpoints = [
            self._take_trained(name, checkpoint) for name, (_, checkpoint) in runs.items()
        ]
        language = load_language(checkpoints[0].stage.model.language)
        language.to(default_device())
        config = AScoreConfig(images=self.data.size.images)
        captions = choose_captions(
            open_dataset(self.data.captions, "test"),
            language.tokenizer,
            Rejected(self.out / "a" / REJECTED),
            images=config.images,
            max_length=language.max_length,
            seed=config.seed,
        )
        found: dict[str, list[dict[str, Any]]] = {}
        outcomes = score_settings(checkpoints, captions, language, config, report)
        for outcome in outcomes:
            if outcome.score:
                found.setdefault(runs[outcome.label][0], []).append(outcome.score)
        return found, [f"{o.label}: {o.error}" for o in outcomes if o.error]

    def _checkpoint_folder(self, setting: Setting, seed: int) -> Path:
        folder = self.out / Path(self.recipe).stem / "runs" / setting.label
        return folder / f"{self.data.size.scenes}-{seed}" / "model"

    def _take_trained(self, name: str, checkpoint: Path) -> Setting:
        stage = {
            "data": str(self.data.captions),
            "split": "test",
            "out": str(self.out / "a" / name),
            "features": {"folder": str(self._features_folder)},
        }
        return trained_setting(name, checkpoint, stage)

    def _c_scores(self, tried: Sequence[Setting], report: Report) -> dict[str, dict[str, Any]]:
        pairs, out = self.data.open_pairs(report), self.out / "c"
        return score_encoders(tried, pairs, out=out, features=self._features_folder, report=report)

    def _write_record(
        self,
        rows: list[dict[str, Any]],
        higher: Mapping[str, bool],
        never_trained: set[str],
        failed: list[str],
    ) -> dict[str, Any]:
        replace_text(self.out / "scores.csv", as_csv(rows))
        table = read_table(self.out / "scores.csv")
        found = {"all settings": fit_predictions(table, higher)}
        if never_trained:  # a floor far below can alone make a law look true
            trained_K = np.array([label not in never_trained for label in table.settings])
            found["without encoders never trained"] = fit_predictions(table.only(trained_K), higher)
        record = {
            "seeds": list(self.seeds),
            "size": asdict(self.data.size),
            "recipe": self.recipe,
            "result_recipe": self.result_recipe,
            "settings": rows,
            "refused": refused_settings(self.settings),
            "predictions": found,
            "failed": failed,
        }
        write_json(self.out / "study.json", record)
        return record


def _recipe_row(recipe: str, entry: str | Mapping[str, Any]) -> dict[str, Any]:
    """A setting as a row of a comparison."""
    parts = {"encoder": entry} if isinstance(entry, str) else entry
    return {"config": recipe, "set": {f"model.{name}": part for name, part in parts.items()}}


def _never_trained(setting: Setting) -> bool:
    parts = parts_of(encoder_of(setting))
    return all(str(part.get("weights", "")).startswith("random:") for part in parts)
