"""A C score from a folder of pairs and the names of encoders: read, encode once, match, score."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from diglot.config.parts import build_part, resolved_part
from diglot.core.errors import ConfigError
from diglot.core.progress import Report, ignore_progress
from diglot.data.pair_folder import MANIFEST, read_pairs
from diglot.data.pairs import Pair
from diglot.data.rejected import Rejected
from diglot.data.spair import is_spair, read_spair
from diglot.measure.correspondence.config import CScoreConfig
from diglot.measure.correspondence.features import Features, Pictures
from diglot.measure.correspondence.law_compat import match_law_compat
from diglot.measure.correspondence.matching import MatchConfig, match_letterbox
from diglot.measure.correspondence.pck import CScore, Match, c_score, match_points

ENCODERS = "diglot.models.encoders"
Part = str | Mapping[str, Any]


def choose_match(config: CScoreConfig) -> Match:
    """How a batch is matched under the geometry."""
    if config.geometry == "law_compat":
        return partial(match_law_compat, window=config.window)
    own = MatchConfig(read=config.read, upsample=config.upsample)
    return lambda batch, alphas: match_letterbox(batch, own, alphas)


def split_parts(encoder: Part | Sequence[Part]) -> list[Part]:
    """The encoders of one setting: a name, {name: ..., field: ...}, names joined by commas, a list.

    Raises ConfigError where there is none.
    """
    if isinstance(encoder, str):
        parts: list[Part] = [name.strip() for name in encoder.split(",") if name.strip()]
    else:
        parts = [encoder] if isinstance(encoder, Mapping) else list(encoder)
    if not parts:
        raise ConfigError("no encoder", where="--encoder")
    return parts


def resolved_encoders(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The encoders with all their settings spelled out."""
    return [resolved_part(ENCODERS, part, where="--encoder") for part in parts]


def build_encoders(parts: Sequence[Part], device: str) -> list[torch.nn.Module]:
    """The encoders, frozen, on the device. Raises ConfigError where one cannot be built."""
    built = [build_part(ENCODERS, part, where="--encoder") for part in parts]
    return [encoder.requires_grad_(False).eval().to(device) for encoder in built]


def open_pairs(
    folder: Path, config: CScoreConfig, rejected: Rejected, report: Report
) -> list[Pair]:
    """The pairs of SPair-71k's folder or of one that diglot made, or the first of them.

    Raises ConfigError where the folder holds neither, or no usable pair.
    """
    if is_spair(folder):
        pairs = read_spair(folder, rejected, split=config.split, report=report)
    elif (folder / MANIFEST).is_file():
        pairs = read_pairs(folder, rejected)
    else:
        raise ConfigError(
            "no pairs here",
            expected=f"SPair-71k's folder, or one with a {MANIFEST}",
            where=str(folder),
            fix="`diglot select scene-pairs FOLDER` makes some.",
        )
    if not pairs:
        raise ConfigError(
            "no usable pair", got=rejected.counts or "an empty folder", where=str(folder)
        )
    return pairs[: config.first]


def score_pairs(
    pairs: Sequence[Pair],
    encoders: Sequence[torch.nn.Module],
    config: CScoreConfig,
    *,
    features: Path,
    rejected: Rejected,
    report: Report = ignore_progress,
) -> CScore:
    """The C score of encoders, joined if several. Features are kept in the folder `features`.

    A picture that cannot be read, and so its pairs, go to `rejected`. Raises ConfigError where the
    disk has no room, or no pair is left.
    """
    maps = Features(Pictures(pairs), encoders, features, geometry=config.geometry)
    maps.build(rejected, report)
    found = match_points(maps.batches(pairs, rejected, report), choose_match(config), config.alphas)
    if not len(found.pair_M):
        raise ConfigError("no keypoint can be scored", got=rejected.counts or f"{len(pairs)} pairs")
    return c_score(found, seed=config.seed)
