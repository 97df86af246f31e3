"""What `diglot select c-score` and `scene-pairs` do; this loads the model libraries."""

from pathlib import Path
from typing import Any

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.data.config import check_cache
from diglot.data.rejected import Rejected
from diglot.data.spair import Split
from diglot.files import write_json
from diglot.measure.correspondence.config import (
    CScoreConfig,
    Geometry,
    Read,
)
from diglot.measure.correspondence.pck import CScore, score_record
from diglot.measure.correspondence.run import (
    build_encoders,
    open_pairs,
    resolved_encoders,
    score_pairs,
    split_parts,
)
from diglot.measure.correspondence.table import c_score_table
from diglot.models.device_map import default_device
from diglot.synth.scene_pairs.compose import ScenePairMaker
from diglot.synth.scene_pairs.config import ScenePairsConfig
from diglot.synth.scene_pairs.write import write_pairs
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools

_SCENE_DEFAULTS = ScenePairsConfig()


def run_c_score(
    *,
    pairs: Path,
    encoder: str | dict[str, Any] | list[str | dict[str, Any]],
    alpha: float | tuple[float, ...],
    geometry: Geometry,
    read: Read,
    upsample: int,
    window: int,
    split: Split,
    first: int | None,
    features: Path,
    seed: int,
    json: Path | None,
) -> None:
    """The C score: the share of keypoints whose match in another picture is found (PCK@alpha)."""
    config = CScoreConfig(
        alphas=alpha if isinstance(alpha, tuple) else (alpha,),
        geometry=geometry,
        read=read,
        upsample=upsample,
        window=window,
        split=split,
        first=first,
        seed=seed,
    )
    check_cache(features)
    parts = split_parts(encoder)
    resolved = resolved_encoders(parts)
    rejected = Rejected.begin(features / f"{pairs.resolve().name}.rejected.jsonl")
    with show_progress() as report:
        found = open_pairs(pairs, config, rejected, report)
        encoders = build_encoders(parts, default_device())
        score = score_pairs(
            found,
            encoders,
            config,
            features=features,
            rejected=rejected,
            report=report,
        )
    names = " + ".join(f"{part['name']}" for part in resolved)
    title = f"C score of {names} on {score.pairs} pairs, {geometry}, per cent"
    _print_score(score, title, rejected)
    if json is not None:
        settings = {**vars(config), "alphas": list(config.alphas)}
        about = {"folder": str(pairs), "encoders": resolved, "settings": settings}
        write_json(json, {**about, "rejected": rejected.counts, **score_record(score)})


def _print_score(score: CScore, title: str, rejected: Rejected) -> None:
    console = open_console()
    console.print(c_score_table(score, title=title))
    for reason, count in {**score.left_out, **rejected.counts}.items():
        console.print(f"not scored: {count} {reason}", highlight=False)
    if rejected.counts:
        console.print(f"rejected: {rejected.path}", highlight=False)


def run_scene_pairs(*, out: Path, count: int, seed: int, scene: ScenePairsConfig) -> None:
    """Make pairs of scenes with one object in common, whose keypoints correspond exactly."""
    maker = ScenePairMaker(embedded_pools(), scene, seed=seed, photos=embedded_backgrounds())
    with show_progress() as report:
        rejected = write_pairs(maker, out, count, report=report)
    console = open_console()
    console.print(f"pairs: {out}", highlight=False)
    for reason, number in rejected.counts.items():
        console.print(f"rejected: {number} {reason}", highlight=False)
