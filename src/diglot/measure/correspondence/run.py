"""A C score from a folder of pairs and the names of encoders: read, encode once, match, score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from diglot.config.parts import build_part, resolved_part
from diglot.core.errors import ConfigError
from diglot.core.progress import Report, ignore_progress
from diglot.core.rng import check_seed
from diglot.data.formats.spair import Split, is_spair, read_spair
from diglot.data.pair_folder import MANIFEST, read_pairs
from diglot.data.pairs import Pair
from diglot.data.rejected import Rejected
from diglot.measure.correspondence.features import Features, Geometry, Pictures
from diglot.measure.correspondence.law_compat import WINDOW_CELLS, match_law_compat
from diglot.measure.correspondence.maps import Read
from diglot.measure.correspondence.matching import MatchConfig, match_letterbox
from diglot.measure.correspondence.pck import ALPHAS, CScore, Match, c_score, check_alphas, matches

ENCODERS = "diglot.models.encoders"
Part = str | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CScoreConfig:
    """What is measured and how."""

    alphas: tuple[float, ...] = ALPHAS
    """A match is right within alpha times the longer side of the target's box."""
    geometry: Geometry = "letterbox"
    """letterbox = each picture padded to a square; law_compat = as the paper's code does it."""
    read: Read = "bilinear"
    """How a source keypoint's feature is read off the grid (letterbox)."""
    upsample: int = 1
    """Cells are searched on a grid so many times finer (letterbox)."""
    window: int = WINDOW_CELLS
    """Side of the soft-argmax window in cells (law_compat)."""
    split: Split = "test"
    """Split of SPair-71k."""
    first: int | None = None
    """Use the first so many pairs; null = all."""
    seed: int = 0
    """Of the interval's draws."""

    def __post_init__(self) -> None:
        check_alphas(self.alphas)
        if self.first is not None and self.first < 1:
            raise ConfigError("no pairs", expected="1 or more", got=self.first, where="first")
        if self.window < 0:
            raise ConfigError("negative window", got=self.window, where="window")
        check_seed(self.seed)
        self.match()

    def match(self) -> Match:
        """How a batch is matched under the geometry."""
        if self.geometry == "law_compat":
            return partial(match_law_compat, window=self.window)
        own = MatchConfig(read=self.read, upsample=self.upsample)
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
    found = matches(maps.batches(pairs, rejected, report), config.match(), config.alphas)
    if not len(found.pair_M):
        raise ConfigError("no keypoint can be scored", got=rejected.counts or f"{len(pairs)} pairs")
    return c_score(found, seed=config.seed)
