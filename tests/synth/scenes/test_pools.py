import os

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.synth.scenes.shapes import PHOTO_NAMES, photos

from diglot.core.errors import ConfigError, DataError
from diglot.synth.scenes.pools import ArrayPool, FolderPool, SvgPool


def picture(path, mode="RGB", size=(40, 20), colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_array_pictures_come_from_their_side():
    pool = photos()
    assert pool.names == PHOTO_NAMES
    train, test = (set(pool.pictures("dog", side)) for side in ("train", "test"))
    assert len(train) == len(test) == 6
    assert not train & test
    assert all(key.startswith("test/") for key in test)


def test_array_pictures_are_enlarged_with_soft_corners():
    images = np.full((2, 8, 8, 3), (10, 200, 30), np.uint8)
    side = (images, np.array([0, 0]), ["leaf"])
    pool = ArrayPool("leaves", {"train": side, "test": side})
    rendered = pool.render("train/00001", 96)
    assert rendered.size == (96, 96)
    pixels = np.asarray(rendered)
    assert pixels[48, 48].tolist() == [10, 200, 30, 255]
    assert pixels[0, 0, 3] < 128 < pixels[48, 4, 3]
    assert (pixels[..., 3] >= 128).mean() > 0.85


def test_a_kind_without_pictures_is_refused():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    side = (images, np.array([0]), ["leaf", "tree"])
    with pytest.raises(ConfigError, match="no train picture of 'tree'"):
        ArrayPool("leaves", {"train": side, "test": side})


def test_drawings_are_cut_to_what_shows(tmp_path):
    pytest.importorskip("resvg_py")
    path = tmp_path / "bar.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        '<rect x="4" y="12" width="20" height="10" fill="#ff0000"/></svg>'
    )
    pool = SvgPool("drawings", {"bar": path})
    assert pool.pictures("bar", "train") == pool.pictures("bar", "test") == ["all/bar"]
    rendered = pool.render("all/bar", 100)
    assert rendered.size == (100, 50)
    assert rendered.getpixel((50, 25)) == (255, 0, 0, 255)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<p>", "cannot be read"),
        ('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "fully transparent"),
    ],
)
def test_a_broken_drawing_is_named(tmp_path, text, message):
    pytest.importorskip("resvg_py")
    path = tmp_path / "bad.svg"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"bad\.svg: .*{message}"):
        SvgPool("drawings", {"bad": path}).render("all/bad", 50)


def test_a_folder_whose_name_is_no_utf8_names_its_kind_in_text(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9_cup"
    os.mkdir(folder)
    for number in range(2):
        Image.new("RGB", (40, 30), "red").save(os.fsdecode(folder + b"/%d.png" % number))
    assert FolderPool(tmp_path).names == (r"caf\xe9 cup",)


def test_own_pictures_are_named_by_folder_or_file(tmp_path):
    for number in range(7):
        picture(tmp_path / "garden_gnome" / f"{number}.jpg")
    picture(tmp_path / "red-chair.png")
    picture(tmp_path / "tea pot" / "a" / "deep.png")
    (tmp_path / "notes.txt").write_text("no picture")
    pool = FolderPool(tmp_path)
    assert pool.names == ("garden gnome", "red chair", "tea pot")
    train, test = (set(pool.pictures("garden gnome", side)) for side in ("train", "test"))
    assert test == {"test/garden_gnome/4.jpg"}
    assert len(train) == 6
    assert pool.pictures("red chair", "train") == ["all/red-chair.png"]
    assert pool.pictures("red chair", "test") == ["all/red-chair.png"]
    assert pool.render("all/tea pot/a/deep.png", 80).size == (80, 40)


@pytest.mark.parametrize("count", range(1, 12))
def test_own_pictures_never_lack_a_side(tmp_path, count):
    for number in range(count):
        picture(tmp_path / "cup" / f"{number:02d}.png")
    pool = FolderPool(tmp_path)
    train, test = (set(pool.pictures("cup", side)) for side in ("train", "test"))
    assert train
    assert test
    assert len(train | test) == count
    assert count == 1 or not train & test


def test_own_transparency_is_kept(tmp_path):
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((10, 0, 19, 39), fill="blue")
    image.save(tmp_path / "pole.png")
    rendered = FolderPool(tmp_path).render("all/pole.png", 80)
    assert rendered.size == (20, 80)
    assert rendered.getpixel((10, 40)) == (0, 0, 255, 255)


def test_unreadable_pictures_are_rejected(tmp_path):
    picture(tmp_path / "cup.png")
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    pool = FolderPool(tmp_path)
    assert pool.names == ("cup",)
    assert pool.rejected == [(str(tmp_path / "broken.jpg"), "not a picture")]


def test_no_pictures_at_all(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        FolderPool(tmp_path / "gone")
    with pytest.raises(ConfigError, match="no usable picture"):
        FolderPool(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="1 unreadable"):
        FolderPool(tmp_path)
