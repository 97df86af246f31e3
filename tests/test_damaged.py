"""Any one file of an output folder damaged: the same command mends it, or refuses and names it.

Features are in tests/data/test_features.py, vectors of words in tests/synth/patch_labels.
"""

from pathlib import Path

import pytest

from diglot.core.preprocess import Preprocess
from diglot.data.labels import LabelWriter, open_labels
from diglot.data.records import open_dataset, write_dataset
from diglot.train.loop import train
from tests.damage import WAYS, check_mended_or_named, contents, damage_each
from tests.data.pictures import sample
from tests.tiny_folders import save_world, tiny_samples, tiny_stage
from tests.train.outcome import figures

SOME, ALL = ("flipped",), tuple(WAYS)
depth = pytest.mark.parametrize("ways", [SOME, pytest.param(ALL, marks=pytest.mark.slow)])


@depth
def test_of_a_dataset(tmp_path: Path, ways: tuple[str, ...]) -> None:
    whole, copy = tmp_path / "whole", tmp_path / "copy"
    samples = [sample(i) for i in range(6)]
    write_dataset(samples, whole, shard_samples=2, info={"seed": 1})
    expected = contents(whole)

    def same() -> None:
        assert contents(copy) == expected
        assert list(open_dataset(copy)) == samples

    for damaged in damage_each(whole, copy, ways, without=("README.md",)):
        check_mended_or_named(
            lambda: write_dataset(samples, copy, shard_samples=2, info={"seed": 1}),
            damaged,
            same,
            set(expected),
        )


@depth
def test_of_labels(tmp_path: Path, ways: tuple[str, ...]) -> None:
    write_dataset(tiny_samples(6), tmp_path / "data", shard_samples=2)
    dataset = open_dataset(tmp_path / "data")

    def label(folder: Path) -> None:
        writer = LabelWriter(
            folder,
            dataset,
            words=("dog", "cat"),
            preprocess=Preprocess(image_px=32),
            patch_px=16,
            about={"by": "test"},
        )
        with writer:
            while writer.done < 6:
                writer.add([[0], [1], [0, 1], []], [[1.0], [0.5], [0.5, 0.25], []])

    whole, copy = tmp_path / "whole", tmp_path / "copy"
    label(whole)
    expected = contents(whole)

    def same() -> None:
        assert contents(copy) == expected
        assert len(list(open_labels(copy, dataset))) == 6

    for damaged in damage_each(whole, copy, ways):
        check_mended_or_named(lambda: label(copy), damaged, same, set(expected))


@pytest.mark.parametrize("finished", [True, False])
@depth
def test_of_a_run(tmp_path: Path, ways: tuple[str, ...], finished: bool) -> None:
    world, whole, copy = save_world(tmp_path / "world"), tmp_path / "whole", tmp_path / "copy"
    settings = {"max_samples": 8, "checkpoint_every": 1}
    model = train(tiny_stage(world, whole, **settings))
    expected = (model / "projector.safetensors").read_bytes(), figures(whole)
    names = set(contents(whole)) | {"state"}
    if not finished:
        for path in (*sorted(model.iterdir()), whole / "finished.json"):
            path.unlink()
        model.rmdir()

    def same() -> None:
        assert (copy / "model" / "projector.safetensors").read_bytes() == expected[0]
        assert figures(copy) == expected[1]

    for damaged in damage_each(whole, copy, ways, without=("tensorboard",)):
        check_mended_or_named(
            lambda: train(tiny_stage(world, copy, **settings)) and None, damaged, same, names
        )
