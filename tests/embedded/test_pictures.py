import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from diglot.core.errors import ConfigError
from diglot.embedded.emoji import emoji_files
from diglot.embedded.photos import Kind, photo_files


@pytest.mark.embedded
def test_emoji_are_named_drawings() -> None:
    files = emoji_files()
    assert len(files) == 3145
    assert {"red-apple", "dog-face", "bicycle"} <= set(files)
    assert list(files) == sorted(files)
    for name in ("red-apple", "bicycle"):
        assert ElementTree.parse(files[name]).getroot().tag.endswith("svg")


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("kind", "count", "least_px"),
    [("places", 100, 600), ("objects", 100, 512), ("samples", 4, 300), ("textures", 3, 512)],
)
def test_photographs_open(kind: Kind, count: int, least_px: int) -> None:
    files = photo_files(kind)
    assert len(files) == len(set(files)) == count
    assert files == photo_files(kind)
    for path in files:
        with Image.open(path) as image:
            assert min(image.size) >= least_px, path


@pytest.mark.embedded
def test_numbered_photographs_come_in_the_order_of_their_numbers() -> None:
    assert [p.stem for p in photo_files()] == [str(i) for i in range(100)]


def test_an_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="places, objects, samples, textures"):
        photo_files("cats")  # pyright: ignore[reportArgumentType]
