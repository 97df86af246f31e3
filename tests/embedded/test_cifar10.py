import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diglot.core.errors import ConfigError
from diglot.embedded import cifar10 as cifar10_module
from diglot.embedded.cifar10 import convert, load_cifar10


def test_a_row_of_pixels_becomes_a_photograph(tmp_path: Path) -> None:
    members, finished = tmp_path / "members", tmp_path / "finished"
    members.mkdir()
    finished.mkdir()
    rng = np.random.default_rng(0)
    picture_NHWC = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for pictures, labels in cifar10_module.SOURCES.values():
        for name in pictures:
            Image.fromarray(picture_NHWC.reshape(3, 1024, 3)).save(members / name)
        (members / labels).write_text(json.dumps([1, 2, 3] * len(pictures)))
    convert(members, finished)
    assert np.array_equal(np.load(finished / "test_images.npy"), picture_NHWC)
    assert np.load(finished / "train_images.npy").shape == (15, 32, 32, 3)
    assert np.load(finished / "train_labels.npy").tolist() == [1, 2, 3] * 5


def test_an_unknown_split() -> None:
    with pytest.raises(ConfigError, match="train or test"):
        load_cifar10("val")  # pyright: ignore[reportArgumentType]


@pytest.mark.embedded
@pytest.mark.parametrize(("split", "count"), [("train", 50_000), ("test", 10_000)])
def test_the_real_one(split: cifar10_module.Split, count: int) -> None:
    images, labels, names = load_cifar10(split)
    assert images.shape == (count, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [count // 10] * 10
    assert len(names) == 10
    assert not images.flags.writeable
    # Kinds are not mixed up: skies and seas behind airplanes and ships are bluer than frogs.
    blueness = [images[labels == names.index(n)][:500].mean((0, 1, 2)) for n in ("ship", "frog")]
    assert blueness[0][2] - blueness[0][0] > 0 > blueness[1][2] - blueness[1][0]
