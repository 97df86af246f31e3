"""The settings of composed scenes, and what they hold out of training."""

import hashlib
from dataclasses import dataclass

from diglot.core.errors import ConfigError

# Bumped when the same seed no longer gives the same scenes.
SCENES_VERSION = 1
SPLITS = ("train", "test", "test_names", "test_combinations")
STYLES = ("list", "sentences", "relations", "counts")


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    """How scenes are composed. By default four objects of four kinds, named with their places."""

    image_px: int = 448
    """Side of the square scene."""
    objects: tuple[int, int] = (4, 4)
    """Fewest and most objects in a scene."""
    object_px: tuple[int, int] = (96, 160)
    """Longest side of an object, smallest and largest."""
    max_overlap: float = 0.25
    """Share of the smaller of two boxes that the other may cover."""
    min_visible: float = 0.5
    """Share of an object's own pixels that stay uncovered, at least."""
    repeat_probability: float = 0.0
    """Share of scenes where one kind appears twice, distinguished by one of repeat_by."""
    repeat_by: tuple[str, ...] = ("size", "place", "colour")
    """What distinguishes the two; colour applies to drawings only."""
    size_probability: float = 0.0
    """Share of objects called "small" or "large", and made so."""
    colour_probability: float = 0.0
    """Share of drawings tinted in a colour, and called so."""
    styles: tuple[str, ...] = STYLES
    """Phrasings that captions are drawn from."""
    texture_share: float = 0.2
    """Share of backgrounds that are plain textures; all, where no photo is given."""
    background_px: int = 32
    """Photos are shrunk to this side first, so that what they show is no object without a label."""
    jpeg_quality: int = 92
    """Quality of the JPEG files, 1 to 100."""
    held_out_names: tuple[str, ...] = ()
    """Kinds that only split test_names shows."""
    held_out_pair_share: float = 0.0
    """Share of all pairs of kinds that are together only in test_combinations."""

    def __post_init__(self) -> None:
        low, high = self.object_px
        checks = {
            "image_px": 32 <= self.image_px <= 8192,
            "objects": 1 <= self.objects[0] <= self.objects[1] <= 64,
            "object_px": 8 <= low <= high <= self.image_px,
            "max_overlap": 0 <= self.max_overlap <= 1,
            "min_visible": 0 < self.min_visible <= 1,
            "repeat_by": set(self.repeat_by) <= {"size", "place", "colour"},
            "styles": bool(self.styles) and set(self.styles) <= set(STYLES),
            "background_px": 1 <= self.background_px <= 1024,
            "jpeg_quality": 1 <= self.jpeg_quality <= 100,
        }
        for name in _SHARES:
            checks[name] = 0 <= getattr(self, name) <= 1
        for name, fine in checks.items():
            if not fine:
                raise ConfigError(
                    f"scenes: {name} is out of range",
                    expected=_RANGES[name],
                    got=getattr(self, name),
                )
        says_size = self.size_probability or (self.repeat_probability and "size" in self.repeat_by)
        if says_size and high < 1.3 * low:
            raise ConfigError(
                "scenes: nothing can be called small or large",
                expected="object_px whose largest is at least 1.3 times its smallest",
                got=self.object_px,
            )
        if self.repeat_probability and not self.repeat_by:
            raise ConfigError("scenes: repeat_by is empty", expected="size, place or colour")

    def size_range(self, word: str | None) -> tuple[int, int]:
        """The longest sides, in px, of an object called `word` ("small", "large" or None)."""
        low, high = self.object_px
        third = (high - low) // 3
        return {"small": (low, low + third), "large": (high - third, high)}.get(
            word or "", self.object_px
        )

    def holds_out(self, name: str, other: str) -> bool:
        """Whether two kinds are kept apart in training. It depends on the two names alone."""
        pair = "\n".join(sorted((name, other)))
        draw = int.from_bytes(hashlib.sha256(pair.encode()).digest()[:8], "big") / 2**64
        return name != other and draw < self.held_out_pair_share


_SHARES = (
    "repeat_probability",
    "size_probability",
    "colour_probability",
    "texture_share",
    "held_out_pair_share",
)
_RANGES = {
    "image_px": "32 to 8192",
    "objects": "1 <= fewest <= most <= 64",
    "object_px": "8 <= smallest <= largest <= image_px",
    "max_overlap": "0 to 1",
    "min_visible": "above 0, at most 1",
    "repeat_by": "some of size, place, colour",
    "styles": "some of " + ", ".join(STYLES),
    "background_px": "1 to 1024",
    "jpeg_quality": "1 to 100",
} | dict.fromkeys(_SHARES, "0 to 1")


def check_scene_split(split: str) -> str:
    """`split` itself. Raises ConfigError unless it is one of SPLITS."""
    if split not in SPLITS:
        raise ConfigError("no such split of scenes", expected=", ".join(SPLITS), got=split)
    return split
