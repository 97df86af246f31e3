"""Real photographs: street and landscape views, single objects, a few well-known test pictures."""

import os
from pathlib import Path
from typing import Literal

from diglot.core.errors import ConfigError
from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

Kind = Literal["places", "objects", "samples", "textures"]

PLACES, OBJECTS = "ai_benchmark/data/enhancement", "ai_benchmark/data/classification"
SKIMAGE = "skimage/data"
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
TEXTURES = ("brick.png", "grass.png", "gravel.png")


def photo_files(kind: Kind = "places") -> list[Path]:
    """Photographs of one kind, in a fixed order.

    - "places": 100 streets, parks, lakes and buildings without captions, 1024 x 682 px JPEG;
      good backgrounds.
    - "objects": 100 pictures of one main thing (animal, vehicle, instrument), 512 x 512 px JPEG.
    - "samples": scikit-image's astronaut, chelsea (a cat), coffee, rocket.
    - "textures": scikit-image's brick, grass, gravel, grey, 512 x 512 px PNG.

    Fetched on demand. Raises ConfigError for another kind.
    """
    kinds = {"places": PHOTOS, "objects": PHOTOS, "samples": SKIMAGE_PHOTOS}
    kinds["textures"] = SKIMAGE_PHOTOS
    if kind not in kinds:
        raise ConfigError("unknown kind of photograph", expected=", ".join(kinds), got=repr(kind))
    return sorted((ensure_asset(kinds[kind]) / kind).iterdir(), key=_by_number)


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.stem), "") if path.stem.isdigit() else (-1, path.name)


def convert_photos(members: Path, finished: Path) -> None:
    """Name the folders for what they show."""
    os.replace(members / PLACES, finished / "places")
    os.replace(members / OBJECTS, finished / "objects")


def convert_skimage(members: Path, finished: Path) -> None:
    """Sort the pictures by what they are good for."""
    for folder, names in (("samples", SAMPLES), ("textures", TEXTURES)):
        (finished / folder).mkdir()
        for name in names:
            os.replace(members / SKIMAGE / name, finished / folder / name)


PHOTOS = Asset(
    name="photos",
    what="200 photographs: 100 places, 100 single objects",
    use="backgrounds of composed scenes; images for the synthesis pipeline",
    registry="pypi",
    package="ai-benchmark",
    version="0.1.2",
    files=(f"{PLACES}/*.jpg", f"{OBJECTS}/*.jpg"),
    sha256="05dc309033d14f2bffa0430ec81f8b11a9e0c6b0cc53bf3143a4ab7c63cc0c36",
    licence="Apache-2.0 (the package; the pictures carry no statement of their own)",
    download_bytes=21_549_595,
    cached_bytes=16_641_000,
    convert=convert_photos,
)

SKIMAGE_PHOTOS = Asset(
    name="skimage_photos",
    what="7 of scikit-image's test pictures: 4 photographs, 3 textures",
    use="obvious pictures to check an encoder with; textures",
    registry="pypi",
    package="scikit-image",
    version="0.26.0",
    files=tuple(f"{SKIMAGE}/{name}" for name in SAMPLES + TEXTURES),
    sha256="de95e2b87f44601ba6cd0ab0b60bd647a27547bcecb4c7eab6ac2fca40d8438a",
    licence="BSD-3-Clause; the pictures public domain or CC0",
    download_bytes=13_561_683,
    cached_bytes=2_131_000,
    convert=convert_skimage,
    # One wheel for everyone: the pictures are the same in all, and pip would look for one that
    # fits the running Python, which an old or a very new one has not.
    pip_options=(
        "--python-version=3.12",
        "--platform=manylinux_2_28_x86_64",
        "--implementation=cp",
    ),
)
