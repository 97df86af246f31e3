"""The settings of the small image-text tower: its shape, its pictures, its training."""

from dataclasses import dataclass, field
from pathlib import Path

from diglot.config.ranges import (
    ClosedUnitInterval,
    ImagePx,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
)
from diglot.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TowerShape:
    """Sizes of both towers; of stock SigLIP classes."""

    width: PositiveInt = 192
    """Channels of a token in either tower, and of their joint space."""
    heads: PositiveInt = 3
    """Attention heads."""
    image_layers: PositiveInt = 6
    """Layers of the image tower."""
    text_layers: PositiveInt = 2
    """Layers of the text tower."""
    image_px: PositiveInt = 448
    """Side of a picture."""
    patch_px: PositiveInt = 32
    """Side of a patch."""
    vocabulary: PositiveInt = 3000
    """Tokens that the text tower knows, at most."""
    text_tokens: PositiveInt = 32
    """Length that every text is cut or padded to."""

    def __post_init__(self) -> None:
        if self.image_px % self.patch_px:
            raise ConfigError(
                "a picture is no whole number of patches",
                got=f"{self.image_px} px of {self.patch_px} px",
                where="shape.image_px",
            )
        if self.width % self.heads:
            raise ConfigError(
                "the width does not divide by the heads",
                got=f"{self.width} by {self.heads}",
                where="shape.width",
            )


@dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """What a batch shows: crowded pictures of many objects, and composed scenes with captions."""

    crowded: PositiveInt = 14
    """Crowded pictures of a batch: a grid of objects, each somewhere in its cell."""
    scenes: NonNegativeInt = 2
    """Composed scenes of a batch, as `diglot scenes` makes them."""
    cells: tuple[PositiveInt, PositiveInt] = (3, 4)
    """Fewest and most cells on a side of a crowded picture."""
    photo_share: ClosedUnitInterval = 0.9
    """Share of photographs among the objects of crowded pictures; the rest are drawings."""
    least_crop: PositiveFloat = 0.7
    """Smallest share of an object's sides that a random crop keeps."""
    jitter: NonNegativeFloat = 0.3
    """Largest relative change of brightness, contrast and colour of an object."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """What the image tower is taught of photographs by EfficientNet-Lite0, beside their names."""

    weight: NonNegativeFloat = 2.0
    """Of the teacher's term in the loss; 0 = no teacher."""
    side_px: ImagePx = 128
    """Side at which the teacher sees each photograph; a multiple of 32."""
    width: PositiveInt = 128
    """Principal channels of the teacher's features that are taught, at most its 1280."""


@dataclass(frozen=True, kw_only=True)
class TowerTrainingConfig:
    """One training of the towers."""

    shape: TowerShape
    """The tower's sizes."""
    pictures: PicturesConfig
    """What a batch shows."""
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    """Who teaches the photographs."""
    steps: PositiveInt = 2600
    """Batches. Until the learning rate falls, the same folder may be given more or fewer."""
    lr: PositiveFloat = 1e-3
    """Learning rate of AdamW between its rise and its fall."""
    rise_steps: PositiveInt = 160
    """First steps, in which the learning rate rises from 0."""
    fall: ClosedUnitInterval = 0.35
    """Share of the steps, the last ones, in which the learning rate falls to 0 along a line."""
    matrix_lr: PositiveFloat = 0.01
    """Of Muon, which moves the matrices inside the transformers, as lr rises and falls."""
    start: Path | None = None
    """The folder of another training, whose weights this one begins with."""
    weight_decay: NonNegativeFloat = 0.05
    """Of the matrices; biases, norms and embeddings are spared."""
    clip: PositiveFloat = 1.0
    """Largest gradient norm."""
    caption_weight: NonNegativeFloat = 0.2
    """Weight of the contrast of whole pictures with whole captions."""
    save_every: PositiveInt = 100
    """Steps between two states to resume from."""
    seed: Seed = 0
    """Of weights and pictures."""
