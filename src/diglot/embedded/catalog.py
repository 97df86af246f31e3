"""The catalogue of embedded assets; a new one is a file with its Asset, and a line here."""

from collections.abc import Sequence

from diglot.core.errors import ConfigError
from diglot.embedded import (
    cifar10,
    efficientnet_lite0,
    emoji,
    imagenet_names,
    mobilesam,
    photos,
    smollm2,
    ssd_mobilenet,
)
from diglot.embedded.asset import Asset

ASSETS: tuple[Asset, ...] = (
    smollm2.ASSET,
    efficientnet_lite0.ASSET,
    cifar10.ASSET,
    emoji.ASSET,
    photos.PHOTOS,
    photos.SKIMAGE_PHOTOS,
    mobilesam.ASSET,
    ssd_mobilenet.ASSET,
    imagenet_names.ASSET,
)


def find_assets(names: Sequence[str]) -> list[Asset]:
    """The named assets in the given order, each once; all of them for no names.

    Raises ConfigError for an unknown name; it lists the known ones.
    """
    known = {a.name: a for a in ASSETS}
    unknown = [n for n in names if n not in known]
    if unknown:
        raise ConfigError(
            f"no embedded asset {unknown[0]!r}", expected="one of " + ", ".join(known)
        )
    return [known[n] for n in dict.fromkeys(names)] or list(ASSETS)
