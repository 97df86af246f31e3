"""Items with their pictures in a folder: made once, checked by digests whenever they are read.

`items.jsonl` holds a question a line, `images/` the pictures as they were in the data, each under
the beginning of its digest, and `benchmark.json` what it was made of and the digest of the items.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diglot.core.errors import DataError
from diglot.core.types import Picture, Sample
from diglot.data.images import decode_image, picture_format
from diglot.evaluate.items import Item, read_item
from diglot.evaluate.task import ChosenTask
from diglot.files import check_own_folder, file_sha256, lock_folder, replacing_folder

ABOUT, ITEMS, IMAGES = "benchmark.json", "items.jsonl", "images"
VERSION = 1  # bumped when the same tasks on the same data make other items


@dataclass(frozen=True)
class Benchmark:
    """The items of an evaluation, on disk."""

    folder: Path
    items: tuple[Item, ...]
    digest: str  # of the items

    def of_task(self, key: str) -> list[Item]:
        """The items of one task, in order."""
        return [item for item in self.items if item.task == key]

    def picture(self, item: Item) -> Image.Image:
        """The item's picture, RGB. Raises DataError where it is not the one it was made with."""
        path = self.folder / IMAGES / str(item.image)
        content = path.read_bytes()
        if not path.name.startswith(_digest_content(content)):
            raise DataError("the picture has changed since the items were made", where=str(path))
        return decode_image(content, where=str(path))


def make_benchmark(
    folder: Path,
    tasks: Sequence[ChosenTask],
    scenes: Sequence[Sample],
    *,
    data: str,
    seed: int,
) -> Benchmark:
    """The benchmark in `folder`, made anew unless it is of the same tasks, data and seed.

    `data` is a digest of the scenes. Raises DataError where a task finds nothing to ask, or what is
    there is damaged; ConfigError for a folder of other files.
    """
    about = {
        "version": VERSION,
        "tasks": {chosen.key: _describe_items(chosen) for chosen in tasks},
        "data": data,
        "seed": seed,
    }
    check_own_folder(folder, marker=ABOUT)
    with lock_folder(folder, wait=True):
        if read_about(folder).get("about") != json.loads(json.dumps(about)):
            with replacing_folder(folder) as staging:
                _write_benchmark_files(staging, tasks, scenes, about, seed)
    return open_benchmark(folder)


def _describe_items(chosen: ChosenTask) -> dict[str, Any]:
    """The settings that change which items there are, and digests of the files they name.

    How items are asked does not change them.
    """
    asking = ("ways", "length", "max_tokens")
    kept = {name: value for name, value in chosen.settings.items() if name not in asking}
    files = [Path(value) for value in kept.values() if isinstance(value, str) and value]
    return kept | {"files": [file_sha256(path) for path in files if path.is_file()]}


def read_about(folder: Path) -> Mapping[str, Any]:
    """What `benchmark.json` says; empty where there is none that can be read."""
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def open_benchmark(folder: Path) -> Benchmark:
    """A benchmark that was made. Raises DataError where there is none, or it has been changed."""
    about, path = read_about(folder), folder / ITEMS
    if not about or not path.is_file():
        raise DataError("no benchmark here", expected=f"{ABOUT} and {ITEMS}", where=str(folder))
    digest = file_sha256(path)
    if digest != about.get("items_sha256"):
        raise DataError(
            "the items are not those that were made",
            expected=about.get("items_sha256"),
            got=digest,
            where=str(path),
            fix=f"Remove {folder} to make them again.",
        )
    lines = path.read_text("utf-8").splitlines()
    items = [read_item(json.loads(text), where=f"{path}:{n}") for n, text in enumerate(lines, 1)]
    return Benchmark(folder, tuple(items), digest)


def _write_benchmark_files(
    folder: Path,
    tasks: Sequence[ChosenTask],
    scenes: Sequence[Sample],
    about: dict[str, Any],
    seed: int,
) -> None:
    (folder / IMAGES).mkdir()
    pictures = {scene.id: scene.image for scene in scenes}
    if len(pictures) < len(scenes):
        raise DataError("two scenes have one id, so an item's picture is not known")
    written: dict[str, str] = {}
    lines = []
    for chosen in tasks:
        for item in make_items(chosen, scenes, seed=seed):
            picture = _find_picture(item, chosen, pictures)
            if item.image is None and picture is not None:
                place = f"{chosen.key if chosen.task.picture_of else ''} {item.scene}"
                written[place] = written.get(place) or _write_picture(folder, picture)
                item = replace(item, image=written[place])
            lines.append(json.dumps(item.to_json(), ensure_ascii=False, sort_keys=True) + "\n")
    (folder / ITEMS).write_text("".join(lines), "utf-8")
    content = {"about": about, "items": len(lines), "items_sha256": file_sha256(folder / ITEMS)}
    (folder / ABOUT).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _find_picture(
    item: Item, chosen: ChosenTask, pictures: Mapping[str, Picture]
) -> Picture | None:
    """That of the item's scene, or of its task's own data."""
    own = chosen.task.picture_of
    return own(item) if own else pictures.get(item.scene)


def make_items(chosen: ChosenTask, scenes: Sequence[Sample], *, seed: int) -> Iterator[Item]:
    """A task's items under its key, at most its limit; each task has a random stream of its own.

    Raises DataError where there are none.
    """
    key = int.from_bytes(hashlib.sha256(chosen.key.encode()).digest()[:4], "big")
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))
    items = list(chosen.task.make(scenes, generator))
    if not items:
        raise DataError(
            "nothing to ask: no scene has what the task is about",
            where=f"task {chosen.key!r}",
            fix="Leave it out (scenes of words and charts have groups of their own: --tasks words, "
            "--tasks charts), or compose scenes with colours, sizes and repeats "
            "(diglot scenes --scene.colour_probability 0.5 ...).",
        )
    limit = chosen.task.asked.limit
    kept = sorted(generator.permutation(len(items))[:limit].tolist())
    for index in kept:
        item = items[index]
        yield replace(item, id=f"{chosen.key}/{item.id}", task=chosen.key)


def _write_picture(folder: Path, picture: Picture) -> str:
    """Put a picture's bytes into the folder; its file name begins with their digest."""
    content = picture if isinstance(picture, bytes) else picture.read_bytes()
    name = f"{_digest_content(content)}.{picture_format(content).lower()}"
    (folder / IMAGES / name).write_bytes(content)
    return name


def _digest_content(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
