"""Fluent emoji, flat style: named drawings with transparent ground (Microsoft)."""

import os
from pathlib import Path

from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset


def emoji_files() -> dict[str, Path]:
    """3,145 SVG files by name, sorted; the name is the file's stem ("red-apple").

    A drawing of a person comes in skin tones, each a name of its own ("baby-medium-dark").
    Fetched on demand.
    """
    return {p.stem: p for p in sorted(ensure_asset(ASSET).glob("*.svg"), key=lambda p: p.stem)}


def convert(members: Path, finished: Path) -> None:
    """Keep the files as they are, without their folders."""
    for path in members.glob("icons/flat/*.svg"):
        os.replace(path, finished / path.name)


ASSET = Asset(
    name="emoji",
    what="Fluent emoji, 3,145 flat SVG drawings",
    use="objects of composed scenes",
    registry="npm",
    package="fluentui-emoji",
    version="1.3.0",
    files=("icons/flat/*.svg",),
    sha256="4d91e35419e4003f0db25da8ac53abf07b096add7ad229b9f2cee1c8a89f2364",
    licence="MIT",
    download_bytes=23_804_319,
    cached_bytes=8_612_000,
    convert=convert,
)
