"""C scores of a list of settings, each kept in its folder; a combination's parts are joined."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from diglot.core.errors import DiglotError
from diglot.core.progress import Report, rename_stages
from diglot.data.pairs import Pair
from diglot.data.rejected import Rejected
from diglot.files import reuse_or_make
from diglot.measure.correspondence.config import CScoreConfig
from diglot.measure.correspondence.features import Pictures
from diglot.measure.correspondence.run import build_encoders, score_pairs
from diglot.models.device_map import default_device
from diglot.select.settings import Setting, encoder_of

log = logging.getLogger(__name__)

KEPT = "c_score.json"
PAPER = CScoreConfig(alphas=(0.1,))


def score_encoders(
    settings: Sequence[Setting],
    pairs: Sequence[Pair],
    *,
    out: Path,
    features: Path,
    report: Report,
    config: CScoreConfig = PAPER,
) -> dict[str, dict[str, Any]]:
    """By label: value, low, high, n, ceiling and chance of the pooled PCK at the first alpha.

    On the GPU where there is one. A setting that fails is logged and left out.
    """
    device, found = default_device(), {}
    for setting in settings:
        label, encoder = setting.label, encoder_of(setting)
        about = [encoder, asdict(config), Pictures(pairs).fingerprint, len(pairs)]
        folder = out / label
        measure = partial(
            _score_encoder, encoder, pairs, config, folder, features, device, label, report
        )
        try:
            found[label] = reuse_or_make(folder / KEPT, about, measure)
        except (DiglotError, OSError, RuntimeError) as error:
            log.warning("C score of %r: %s", label, " ".join(str(error).split()))
    return found


def _score_encoder(
    encoder: Mapping[str, Any],
    pairs: Sequence[Pair],
    config: CScoreConfig,
    folder: Path,
    features: Path,
    device: str,
    label: str,
    report: Report,
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    scored = score_pairs(
        pairs,
        build_encoders(parts_of(encoder), device),
        config,
        features=features,
        rejected=Rejected(folder / "c_score.rejected.jsonl"),
        report=rename_stages(report, lambda stage: f"{label}: C, {stage}"),
    )
    overall = scored.overall[config.alphas[0]]
    return {
        **overall.pooled.to_json(),
        "ceiling": overall.ceiling,
        "chance": overall.chance,
        "pairs": scored.pairs,
    }


def parts_of(encoder: Mapping[str, Any]) -> list[Any]:
    """The encoders whose maps are joined, each at unit length: a combination's, or the one."""
    return list(encoder["encoders"]) if encoder["name"] == "combined" else [encoder]
