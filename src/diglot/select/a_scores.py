"""A scores of a list of settings: one LLM, one set of captions, missing projectors trained.

Every setting leaves its score in its folder, so that a killed call resumes.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from diglot.core.errors import DiglotError
from diglot.core.progress import Progress, Report, rename_stages
from diglot.core.types import Sample
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.files import file_sha256, lock_file, reuse_or_make
from diglot.measure.a_score import AScoreConfig, a_score
from diglot.measure.a_score_captions import Captions
from diglot.models.checkpoint import load_weights
from diglot.models.features import open_features
from diglot.models.language import Language
from diglot.models.vlm import VLM
from diglot.select.settings import Setting, build_setting, features_of
from diglot.train.loop import train

log = logging.getLogger(__name__)

KEPT = "a_score.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a setting: its score as plain JSON, or the reason that it has none."""

    label: str
    score: dict[str, Any] | None = None  # value, low, high, n, tokens, visual_tokens, checkpoint
    error: str | None = None


def score_settings(
    settings: Sequence[Setting],
    captions: Captions,
    language: Language,
    config: AScoreConfig,
    report: Report,
) -> list[Outcome]:
    """Every setting's A score, projectors trained where there is none.

    A setting that fails is logged with its reason and does not stop the others.
    """
    outcomes = []
    for number, setting in enumerate(settings):
        report(Progress("settings", number, len(settings), setting.label))
        outcomes.append(_try_setting(setting, captions, language, config, report))
    report(Progress("settings", len(settings), len(settings)))
    return outcomes


def _try_setting(
    setting: Setting, captions: Captions, language: Language, config: AScoreConfig, report: Report
) -> Outcome:
    try:
        return Outcome(
            label=setting.label, score=_score_setting(setting, captions, language, config, report)
        )
    except Exception as error:  # of whatever kind: the others have nothing to do with it
        reason = " ".join(str(error).split())
        message = reason if isinstance(error, DiglotError) else f"{type(error).__name__}: {reason}"
        log.warning("setting %r: %s", setting.label, message)
        return Outcome(label=setting.label, error=message)


def _score_setting(
    setting: Setting, captions: Captions, language: Language, config: AScoreConfig, report: Report
) -> dict[str, Any]:
    setting.folder.mkdir(parents=True, exist_ok=True)
    with lock_file(setting.folder / ".lock", wait=False):
        vlm = build_setting(setting, language)
        checkpoint = setting.checkpoint or _train_projector(setting, vlm, report)
        about = {
            "config": asdict(config),
            "captions": captions.fingerprint,
            "checkpoint": checkpoint_digest(checkpoint),
        }

        def measure() -> dict[str, Any]:
            score = _measure_captions(setting, vlm, captions, config, report)
            return score | {"checkpoint": str(checkpoint)}

        return reuse_or_make(setting.folder / KEPT, about, measure)


def _train_projector(setting: Setting, vlm: VLM, report: Report) -> Path:
    """Train the setting's projector, or resume its training; the model holds its weights then."""
    named = rename_stages(report, lambda stage: f"{setting.label}: {stage}")
    checkpoint = train(setting.stage, vlm=vlm, report=named)
    load_weights(vlm, checkpoint)  # a run that was finished before has not touched the model
    return checkpoint


def _measure_captions(
    setting: Setting, vlm: VLM, captions: Captions, config: AScoreConfig, report: Report
) -> dict[str, Any]:
    rejected = Rejected(setting.folder / "a_score.rejected.jsonl")
    cache = open_features(
        vlm,
        cast(Dataset, captions),
        features_of(setting),
        rejected,
        rename_stages(report, lambda stage: f"{setting.label}: {stage}, captions"),
    )
    index_of = {id(sample): index for index, sample in enumerate(captions.samples)}

    def views(sample: Sample) -> Any:
        return cache.views(index_of[id(sample)])

    named = rename_stages(report, lambda stage: f"{setting.label}: {stage}")
    scored = a_score(vlm, captions, views, config, note=rejected.note, report=named)
    counts = {"tokens": scored.tokens, "visual_tokens": scored.visual_tokens}
    return {**scored.estimate.to_json(), **counts}


def checkpoint_digest(folder: Path) -> str:
    """Changes with the settings and the weights of a checkpoint."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
    digests = json.dumps([[path.name, file_sha256(path)] for path in files])
    return hashlib.sha256(digests.encode()).hexdigest()[:16]
