"""A tiny package in a local index, so that the real pip is tested without a network."""

import hashlib
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diglot.embedded.asset import Asset

CONTENT = b"weights"


@dataclass(frozen=True)
class ToyIndex:
    """A wheel of package "toy" that pip finds and nothing else, and an asset over it."""

    asset: Asset
    wheel: Path

    def asset_with(self, **changes: Any) -> Asset:
        return replace(self.asset, **changes)


def write_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    info = "toy-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    wheel = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**members, **metadata}.items():
            archive.writestr(name, content)
    return wheel


def copy_weights(members: Path, finished: Path) -> None:
    os.replace(members / "toy/weights.bin", finished / "weights.bin")


def toy_asset() -> Asset:
    return Asset(
        name="toy",
        what="a toy",
        use="tests",
        registry="pypi",
        package="toy",
        version="1.0",
        files=("toy/weights.bin",),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="MIT",
        download_bytes=1000,
        cached_bytes=1000,
        convert=copy_weights,
    )
