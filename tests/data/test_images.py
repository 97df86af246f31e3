import contextlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diglot.core.errors import DataError
from diglot.data.images import decode_image, decode_rgba, image_size, resolve_inside


def encoded(picture, format="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(width=20, height=10):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width) * 12
    pixels[..., 1] = np.arange(height)[:, None] * 20
    return Image.fromarray(pixels)


def png_of_size(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back(format):
    image = encoded(gradient(), format)
    assert np.array_equal(decode_image(image), np.asarray(gradient()))
    assert image_size(image) == (10, 20)


def test_a_file_is_as_good_as_bytes(tmp_path):
    path = tmp_path / "picture.png"
    gradient().save(path)
    assert np.array_equal(decode_image(path), gradient())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_datasets_does(orientation):
    from datasets import Image as Feature

    exif = Image.Exif()
    exif[0x0112] = orientation
    image = encoded(gradient(), "JPEG", exif=exif)
    theirs = Feature().decode_example({"bytes": image, "path": None})
    assert np.array_equal(decode_image(image), np.asarray(theirs))
    assert image_size(image) == (theirs.height, theirs.width)


def test_transparency_is_drawn_over_white():
    picture = Image.new("RGBA", (3, 1), (200, 0, 0, 255))
    picture.putpixel((1, 0), (200, 0, 0, 0))
    picture.putpixel((2, 0), (0, 0, 0, 128))
    pixels = np.asarray(decode_image(encoded(picture)))[0]
    assert pixels[0].tolist() == [200, 0, 0]
    assert pixels[1].tolist() == [255, 255, 255]
    assert abs(int(pixels[2, 0]) - 127) <= 1
    assert decode_rgba(encoded(picture)).mode == "RGBA"


def test_a_palette_with_a_transparent_colour_is_drawn_over_white():
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    pixels = np.asarray(decode_image(encoded(picture, transparency=0)))[0]
    assert pixels.tolist() == [[255, 255, 255], [40, 50, 60]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "RGBA"])
def test_every_mode_becomes_rgb(mode):
    format = "TIFF" if mode == "CMYK" else "PNG"
    assert decode_image(encoded(gradient().convert(mode), format)).mode == "RGB"


def test_sixteen_bits_keep_their_top_eight():
    values = np.array([[0, 256, 32768, 65535]], np.uint16)
    pixels = np.asarray(decode_image(encoded(Image.fromarray(values))))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_bomb_is_refused_from_its_header():
    with pytest.raises(DataError, match=r"sample 'x': picture is too large.*64000000 pixels"):
        decode_image(png_of_size(30_000, 30_000), where="sample 'x'")
    with pytest.raises(DataError, match="too large"):
        decode_image(png_of_size(9_000, 9_000))
    with pytest.raises(DataError, match="too large"):
        image_size(encoded(gradient()), max_pixels=199)
    assert image_size(encoded(gradient()), max_pixels=200) == (10, 20)


@pytest.mark.parametrize("image", [b"", b"GIF89a", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(DataError, match="here"):
        decode_image(image, where="here")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_picture_is_refused(format):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    image = encoded(Image.fromarray(noise), format)
    with pytest.raises(DataError):
        decode_image(image[: len(image) // 2])


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]))
def test_broken_bytes_never_raise_anything_else(data, format):
    image = bytearray(encoded(gradient(), format))
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        assert decode_image(bytes(image), max_pixels=10**6).mode == "RGB"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: no such picture file"):
        decode_image(tmp_path / "gone.png")
    with pytest.raises(DataError):
        decode_image(tmp_path)


def test_paths_stay_inside(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    os.symlink(tmp_path / "secret.png", root / "link.png")
    os.symlink(root / "loop.png", root / "loop.png")
    os.symlink("sub", root / "fine")
    assert resolve_inside(root, "sub/a.png") == (root / "sub/a.png").resolve()
    assert resolve_inside(root, "sub/../b.png") == (root / "b.png").resolve()
    assert resolve_inside(root, "fine/c.png") == (root / "sub/c.png").resolve()
    for bad in (
        "../secret.png",
        "sub/../../secret.png",
        "link.png",
        "loop.png/x",
        "a\0b",
        str(tmp_path / "secret.png"),
        str(root / "sub"),
    ):
        with pytest.raises(DataError, match="leaves its folder"):
            resolve_inside(root, bad)
