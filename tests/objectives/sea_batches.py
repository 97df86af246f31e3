"""Batches of labelled visual tokens, and samples whose patches have labels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from diglot.core.batch import Batch
from diglot.core.patch_labels import PatchLabels
from diglot.core.preprocess import Preprocess
from diglot.core.types import Sample
from diglot.data.collate import collate_batch, encode_sample
from diglot.data.labels import LabelWriter
from diglot.data.records import Dataset
from diglot.objectives.token_contrastive import LabelledToken
from tests.tiny import tiny_tokenizer

GRID = Preprocess(image_px=32).token_grid((48, 64), patch_px=8)  # 4 x 4
WORDS = ("dog", "red car", "guitar", "frog", "hot air balloon", "cat", "green", "left")


def batch_of(targets: list[Any]) -> Batch:
    """One image of 16 visual tokens for each entry."""
    encoded = [
        encode_sample(
            f"s{i}", None, (GRID,), (), views_are="features", terms=("contrast",), targets=pairs
        )
        for i, pairs in enumerate(targets)
    ]
    return collate_batch(encoded, row_tokens=64)


def pair(visual: int, label: str, key: int) -> LabelledToken:
    ids = tuple(tiny_tokenizer()(" " + label, add_special_tokens=False)["input_ids"])
    return LabelledToken(visual, label, ids, key)


def alone(payload: Any) -> list[Any]:
    return [payload]


def labelled(sample: Sample, *, seed: int = 0, labels: int = 3) -> Sample:
    """Every patch of the 4 x 4 grid with some words at random."""
    random = np.random.default_rng(seed)
    words = tuple(tuple(random.permutation(WORDS)[:labels].tolist()) for _ in range(16))
    scores = tuple(tuple(np.sort(random.random(labels) + 0.1)[::-1].tolist()) for _ in range(16))
    grid = Preprocess(image_px=32).token_grid(sample.size_hw, patch_px=8)
    cells = PatchLabels(cells_M4=grid.cells_P4, words=words, scores=scores)
    return replace(sample, patch_labels=cells)


def save_labels(folder: Path, dataset: Dataset, *, seed: int = 0) -> Path:
    """Random labels of a dataset, as `diglot label` leaves them."""
    grid = {"preprocess": Preprocess(image_px=32), "patch_px": 8}
    with LabelWriter(folder, dataset, words=WORDS, about={"labeller": "random"}, **grid) as writer:
        for index in range(len(dataset)):
            random = np.random.default_rng(index + 1000 * seed)
            words = [random.permutation(len(WORDS))[:3].tolist() for _ in range(16)]
            writer.add(words, [np.sort(random.random(3) + 0.1)[::-1].tolist() for _ in range(16)])
    return folder
