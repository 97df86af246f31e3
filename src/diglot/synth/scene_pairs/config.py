"""The settings of pairs of composed scenes."""

from dataclasses import dataclass

from diglot.config.ranges import ClosedUnitInterval, ImagePx, PositiveInt
from diglot.core.errors import ConfigError

# Bumped when the same seed no longer gives the same pairs.
VERSION = 1
LEVELS = ("1 moved", "2 turned", "3 mirrored", "4 crowded")


@dataclass(frozen=True, kw_only=True)
class ScenePairsConfig:
    """How pairs are composed. Levels: moved (and scaled), turned too, mirrored too, crowded too."""

    image_px: int = 448
    """Side of a square scene."""
    object_px: tuple[int, int] = (144, 320)
    """Longest side of the object, drawn anew for each of the two scenes."""
    other_px: tuple[int, int] = (80, 160)
    """Longest side of the other objects in crowded scenes."""
    turn_deg: float = 60.0
    """Largest turn of the object in the target, either way, from level `turned` on."""
    others: tuple[int, int] = (2, 3)
    """Objects of other kinds in each scene of level `crowded`; some lie over the object."""
    min_visible: float = 0.5
    """Share of the object that level `crowded` leaves uncovered and inside the frame, at least."""
    keypoints: PositiveInt = 12
    """Points drawn on the object; those hidden in either scene are marked as hidden."""
    min_keypoints: PositiveInt = 4
    """Points that are visible in both scenes, at least."""
    background_px: ImagePx = 224
    """Photographs behind are shrunk to this side first; small makes them blurred."""
    texture_share: ClosedUnitInterval = 0.2
    """Share of backgrounds that are plain textures; all, where no photo is given."""
    jpeg_quality: int = 95
    """Quality of the JPEG files, 1 to 100."""

    def __post_init__(self) -> None:
        checks = {
            "image_px": 32 <= self.image_px <= 8192,
            "object_px": 8 <= self.object_px[0] <= self.object_px[1] <= self.image_px,
            "other_px": 8 <= self.other_px[0] <= self.other_px[1] <= self.image_px,
            "turn_deg": 0 <= self.turn_deg <= 180,
            "others": 0 <= self.others[0] <= self.others[1] <= 16,
            "min_visible": 0 < self.min_visible <= 1,
            "keypoints": 1 <= self.min_keypoints <= self.keypoints <= 1000,
            "jpeg_quality": 1 <= self.jpeg_quality <= 100,
        }
        for name, fine in checks.items():
            if not fine:
                raise ConfigError(f"scene pairs: {name} is out of range", got=getattr(self, name))
