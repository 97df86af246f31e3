"""What scenes are composed of without pictures of one's own: embedded photographs and emoji."""

from importlib.resources import files
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.embedded.cifar10 import load_cifar10
from diglot.embedded.emoji import emoji_files
from diglot.embedded.photos import photo_files
from diglot.synth.scenes.pools import ArrayPool, Pool, SvgPool


def embedded_pools(*, cifar_share: float = 0.5) -> list[Pool]:
    """CIFAR-10's ten kinds and 41 emoji, fetched if needed: 51 kinds for scenes."""
    photographs = ArrayPool(
        "cifar10", {"train": load_cifar10("train"), "test": load_cifar10("test")}, share=cifar_share
    )
    return [photographs, SvgPool("emoji", find_emoji())]


def embedded_backgrounds() -> list[Path]:
    """Photographs of places, fetched if needed."""
    return photo_files("places")


def find_emoji() -> dict[str, Path]:
    """The drawing of each name in emoji.txt. Raises ConfigError for a name without one."""
    drawings = emoji_files()
    text = files("diglot.synth.scenes").joinpath("emoji.txt").read_text("utf-8")
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, stem = line.partition(" = ")
        if (stem or name) not in drawings:
            raise ConfigError("no such emoji", got=stem or name, where="emoji.txt")
        found[name] = drawings[stem or name]
    return found
