"""What every projector looks like to the rest of diglot, and the check that one does.

A projector is an nn.Module that gets a view's features as the grid they are, and says the grid of
tokens that comes out, so that linear maps, MLPs, unshuffle and convolutions are one kind of part.
"""

from typing import Any, Protocol

import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.core.geometry import View
from diglot.core.merging import Merging, Unshuffle


class Projector(Protocol):
    """An nn.Module from features to visual tokens.

    One more member may be there: `separators`, a parameter (K, D) of learned vectors that a
    `Separator(vector=k)` puts between tokens (LLaVA-NeXT's newline is k = 0).
    """

    merging: Merging  # the grid that comes out, and each token's cell on the image

    def __call__(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        """Visual tokens (V, rows, columns, D) of V views of one size."""
        ...


def merging_of(projector: nn.Module) -> Merging:
    """The projector's geometry; without one it keeps the encoder's grid."""
    merging: Any = getattr(projector, "merging", None)
    return Unshuffle() if merging is None else merging


@torch.no_grad()
def check_projector(projector: nn.Module, view: View, *, encoder_width: int, width: int) -> None:
    """Features of one view must come out as the grid that the projector states, `width` wide.

    `view` has the encoder's grid. Raises ConfigError.
    """
    rows, columns = view.grid_hw
    weights = next(projector.parameters(), torch.zeros(()))
    features = weights.new_zeros((1, rows, columns, encoder_width))
    try:
        out = projector(features)
    except RuntimeError as error:
        raise ConfigError(
            f"encoder and projector do not fit: {error}",
            expected=f"a projector of {rows} x {columns} features of {encoder_width} channels",
            where="projector",
        ) from error
    expected = (1, *merging_of(projector).merge_view(view).grid_hw, width)
    if out.ndim != 4 or out.shape[:3] != expected[:3]:
        raise ConfigError(
            "the projector's tokens are not the grid that it states",
            expected=f"(views, rows, columns, width) = {expected}",
            got=tuple(out.shape),
            where="projector",
            fix="Its `merging` says the grid; without one it keeps the encoder's.",
        )
    if out.shape[3] != width:
        raise ConfigError(
            "projector and language model do not fit",
            expected=f"visual tokens of width {width}",
            got=tuple(out.shape),
            where="projector",
        )
