"""What `diglot scenes` does once its options are read; this loads the model libraries."""

import json as json_text
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.table import Table

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.files import replace_text
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.conversations import ConversationMaker, QuestionsConfig
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from diglot.synth.scenes.pools import FolderPool, Pool
from diglot.synth.scenes.write import Maker, write_scenes
from diglot.synth.text_pairs.fonts import find_families
from diglot.synth.text_scenes.compose import TextSceneMaker
from diglot.synth.text_scenes.config import TextScenesConfig


def run_scenes(
    *,
    out: Path,
    count: int,
    split: str,
    seed: int,
    pictures: Path | None,
    cifar_share: float,
    shard_samples: int,
    scene: ScenesConfig,
    kind: Literal["objects", "words", "charts"],
    text: TextScenesConfig,
    fonts: Path | None,
    instruct: bool,
    questions: QuestionsConfig,
    json: Path | None,
) -> None:
    """Compose scenes of known objects or text, with boxes, masks and captions that are exact."""
    own = FolderPool(pictures) if pictures else None
    maker: Maker
    if kind != "objects":
        families = find_families([fonts] if fonts else [])
        maker = TextSceneMaker(families, text, kind, split=split, seed=seed)
    else:
        pools = [own] if own else embedded_pools(cifar_share=cifar_share)
        composer = _make_composer(pools, scene, split, seed)
        maker = ConversationMaker(composer, questions) if instruct else composer
    with show_progress() as report:
        rejected = write_scenes(maker, out, count, shard_samples=shard_samples, report=report)
    for path, reason in own.rejected if own else ():
        rejected.add(path, reason)
    summary = summarise(open_dataset(out, split), rejected)
    open_console().print(_summary_table(summary))
    if json:
        replace_text(json, json_text.dumps(summary, indent=2) + "\n")


def _make_composer(pools: Sequence[Pool], scene: ScenesConfig, split: str, seed: int) -> SceneMaker:
    photos = embedded_backgrounds() if scene.texture_share < 1 else []
    return SceneMaker(pools, scene, split=split, seed=seed, photos=photos)


def summarise(dataset: Dataset, rejected: Rejected) -> dict:
    """What a split holds: counts, and how often each name appears."""
    labels = [label for scene in dataset.labels for label in scene if label]
    # of a conversation every mention of an object is a region
    return {
        "folder": str(dataset.folder),
        "split": dataset.split,
        "scenes": len(dataset),
        "regions": len(labels),
        "names": {name: labels.count(name) for name in sorted(set(labels))},
        "rejected": rejected.counts,
        "fingerprint": dataset.fingerprint,
    }


def _summary_table(summary: dict) -> Table:
    table = Table(title=f"Scenes, split {summary['split']}", show_header=False)
    names = summary["names"]
    most = sorted(names, key=lambda name: -names[name])[:3]
    rows = {
        "scenes": summary["scenes"],
        "regions": summary["regions"],
        "names": f"{len(names)} (most: {', '.join(f'{n} {names[n]}' for n in most)})"
        if most
        else 0,
        "rejected": sum(summary["rejected"].values()),
        "folder": summary["folder"],
        "fingerprint": summary["fingerprint"][:16],
    }
    for reason, number in summary["rejected"].items():
        rows[f"  {reason}"] = number
    for key, value in rows.items():
        table.add_row(key, str(value))
    return table
