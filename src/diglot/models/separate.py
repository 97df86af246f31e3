"""The attention rule by its definition: one plain forward a document, and one more a branch.

Right for any causal LM, also one that carries state along the row (short convolutions, linear
attention), drops the keywords of packing, or looks at the largest position of the batch; and the
slowest form. `models.decode` falls back to it where the fast forms differ from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from diglot.core.layout import Packed


@dataclass(frozen=True)
class Passage:
    """One plain forward: the row's positions that go in, and how many of the last are kept."""

    row: int
    index_L: torch.Tensor
    kept: int


def list_passages(packed: Packed) -> list[Passage]:
    """Every document's trunk, and every branch behind the part of the trunk that it sees."""
    passages = []
    for row in range(len(packed.document_BT)):
        document, branch = packed.document_BT[row], packed.branch_BT[row]
        for number in document[document >= 0].unique().tolist():
            inside = document == number
            trunk_L = (inside & (branch == 0)).nonzero().flatten()
            passages.append(Passage(row, trunk_L, len(trunk_L)))
            for own in branch[inside & (branch > 0)].unique().tolist():
                own_L = (inside & (branch == own)).nonzero().flatten()
                fork = packed.fork_BT[row, own_L[0]]
                index_L = torch.cat([trunk_L[trunk_L <= fork], own_L])
                passages.append(Passage(row, index_L, len(own_L)))
    return passages


@dataclass
class SeparateOutput:
    """What the decoder gives, in the packed rows' places; zeros at padding."""

    last_hidden_state: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...] | None


def decode_separately(
    decode: Callable[..., Any],
    packed: Packed,
    embeds_BTD: torch.Tensor,
    *,
    every_layer: bool = False,
) -> SeparateOutput:
    """`decode(embeds_1LD, output_hidden_states=...)` of every passage, put together again."""
    passages = list_passages(packed)
    outs = [
        decode(embeds_BTD[p.row, p.index_L][None], output_hidden_states=every_layer)
        for p in passages
    ]
    last = scatter_passages(passages, [out.last_hidden_state for out in outs], embeds_BTD)
    if not every_layer:
        return SeparateOutput(last, None)
    layers = zip(*(out.hidden_states for out in outs), strict=True)
    return SeparateOutput(
        last, tuple(scatter_passages(passages, list(layer), embeds_BTD) for layer in layers)
    )


def scatter_passages(
    passages: list[Passage], hidden: list[torch.Tensor], like_BTD: torch.Tensor
) -> torch.Tensor:
    """Each passage's kept positions (1, L, D) in their places of (B, T, D)."""
    rows = torch.cat([torch.full_like(p.index_L[-p.kept :], p.row) for p in passages])
    index = torch.cat([p.index_L[-p.kept :] for p in passages])
    values = torch.cat([h[0, -p.kept :] for p, h in zip(passages, hidden, strict=True)])
    return like_BTD.new_zeros(like_BTD.shape, dtype=values.dtype).index_put((rows, index), values)
