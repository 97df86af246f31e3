"""How a projector makes visual tokens of a view's features: the grid and the cells that come out.

A merging has `multiple`, by which the sides of the encoder's grid must divide (native resolution
rounds to it), and `merge_view`, which turns the view under the encoder's grid into the view under
the tokens' grid. It holds no weights, so that a data loader's worker can have it.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from diglot.core.errors import ConfigError
from diglot.core.geometry import View
from diglot.core.region import SizeHW


class Merging(Protocol):
    """The geometry of a projector."""

    @property
    def multiple(self) -> int:
        """The sides of the encoder's grid are multiples of it."""
        ...

    def merge_view(self, view: View) -> View:
        """The view with the grid of tokens in place of the grid of features."""
        ...


@dataclass(frozen=True)
class Unshuffle:
    """factor × factor neighbours become one token; 1 keeps the grid."""

    factor: int = 1

    @property
    def multiple(self) -> int:
        return self.factor

    def merge_view(self, view: View) -> View:
        """Cells grow by the factor. Raises ConfigError where the grid does not divide."""
        rows, columns = view.grid_hw
        if rows % self.factor or columns % self.factor:
            raise ConfigError(
                f"a grid of {rows} x {columns} encoder cells cannot be unshuffled by {self.factor}",
                expected=f"rows and columns divisible by {self.factor}",
                where="projector.unshuffle",
            )
        merged_hw = rows // self.factor, columns // self.factor
        return replace(view, grid_hw=merged_hw, cell_px=view.cell_px * self.factor)


@dataclass(frozen=True)
class AveragePool:
    """Adaptive average pooling of a grid of `from_hw` features to `grid_hw` tokens.

    A token's cell is the window it is pooled from; windows overlap where the sides do not divide.
    """

    grid_hw: SizeHW
    from_hw: SizeHW

    multiple = 1

    def merge_view(self, view: View) -> View:
        """Raises ConfigError for a view of another size."""
        if view.grid_hw != self.from_hw:
            raise ConfigError(
                "the projector takes views of one size",
                expected=f"{self.from_hw[0]} x {self.from_hw[1]} features",
                got=f"{view.grid_hw[0]} x {view.grid_hw[1]}",
                where="projector.input_side",
                fix="Set it to image_px / the encoder's patch size, and a mode of square views.",
            )
        return replace(view, grid_hw=self.grid_hw, pooled_hw=self.from_hw)
