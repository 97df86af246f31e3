"""The attention rule without a mask over everything: causal trunks, then the few branch tokens.

A document's trunk is plain causal attention, which the fastest kernels do without a mask; only its
branch tokens need one, and they are few. So work and memory follow the documents' own lengths, not
the square of the packed row. The numbers are those of core.attention's dense mask.
"""

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from diglot.core.layout import Packed

NAME = "diglot_split"

# A document or a row has any length, and cuDNN's kernels, which an H100 takes first, are planned
# anew for each one: 12 to 16 ms a layer and pass. These are not.
ANY_LENGTH = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True)
class PackedPiece:
    """One document of a packed row: trunk [start, fork), branches [fork, stop)."""

    start: int
    fork: int
    stop: int
    branch_mask: torch.Tensor | None  # additive, (1, 1, stop - fork, stop - start)
    position_L: torch.Tensor  # rotary position of each of its tokens
    windowed: dict[int, tuple[torch.Tensor, torch.Tensor | None]] = field(default_factory=dict)
    """Masks of trunk and branches under a sliding window, made when a layer first asks."""

    def to(self, device: torch.device | str) -> "PackedPiece":
        """The same document for a layer on another device."""
        if self.position_L.device == torch.device(device):
            return self
        mask = None if self.branch_mask is None else self.branch_mask.to(device)
        position_L = self.position_L.to(device)
        return replace(self, branch_mask=mask, position_L=position_L, windowed={})

    def window_masks(
        self, window: int, dtype: torch.dtype
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The additive masks of trunk and branches where each token sees `window` positions.

        A branch counts on from its fork, as in a forward of its own.
        """
        if int(self.position_L.max()) < window:
            return None, self.branch_mask
        if window not in self.windowed:
            self.windowed[window] = self._make_window_masks(window, dtype)
        return self.windowed[window]

    def _make_window_masks(
        self, window: int, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        lowest, trunk = torch.finfo(dtype).min, self.fork - self.start
        distance_LL = self.position_L[:, None] - self.position_L[None, :]
        far_LL = distance_LL >= window
        hidden = far_LL[:trunk, :trunk] | (distance_LL[:trunk, :trunk] < 0)
        trunk_mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        trunk_mask = trunk_mask.masked_fill_(hidden, lowest)[None, None]
        if self.branch_mask is None:
            return trunk_mask, None
        return trunk_mask, self.branch_mask.masked_fill(far_LL[trunk:], lowest)


def pieces_of(packed: Packed, dtype: torch.dtype) -> list[list[PackedPiece]]:
    """The documents of every row, in the row's order; padding belongs to none."""
    documents, on_branch = packed.document_BT.tolist(), (packed.branch_BT > 0).tolist()
    return [
        [
            _make_piece(packed, row, start, fork, stop, dtype)
            for start, fork, stop in _document_bounds(documents[row], on_branch[row])
        ]
        for row in range(len(documents))
    ]


def _document_bounds(document: list[int], on_branch: list[bool]) -> list[tuple[int, int, int]]:
    """(start, fork, stop) of each document of a row: the trunk comes before the branches."""
    bounds = []
    for number, run in groupby(range(len(document)), key=document.__getitem__):
        places = list(run)
        if number >= 0:
            start, stop = places[0], places[-1] + 1
            bounds.append((start, stop - sum(on_branch[start:stop]), stop))
    return bounds


def _make_piece(
    packed: Packed, row: int, start: int, fork: int, stop: int, dtype: torch.dtype
) -> PackedPiece:
    position = packed.position_BT[row, start:stop]
    if fork == stop:
        return PackedPiece(start, fork, stop, None, position)
    keys = torch.arange(start, stop, device=packed.fork_BT.device)
    queries = keys[fork - start :]
    branch = packed.branch_BT[row]
    trunk = (keys < fork) & (keys <= packed.fork_BT[row, fork:stop, None])
    own = (branch[start:stop] == branch[fork:stop, None]) & (keys <= queries[:, None])
    mask = torch.zeros(trunk.shape, dtype=dtype, device=keys.device)
    mask.masked_fill_(~(trunk | own), torch.finfo(dtype).min)
    return PackedPiece(start, fork, stop, mask[None, None], position)


def split_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    pieces: list[list[PackedPiece]] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed documents, (B, T, heads, width). Without `pieces` it is plain SDPA.

    Every form that calls SDPA comes through here, so that the choice of kernels is one.
    """
    with sdpa_kernel(ANY_LENGTH):  # here, where a layer that is computed again comes by too
        if pieces is None:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return _attend_rows(module, query, key, value, pieces, kwargs), None


def _attend_rows(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    pieces: list[list[PackedPiece]],
    kwargs: dict[str, Any],
) -> torch.Tensor:
    rows = []
    for row, documents in enumerate(pieces):
        q, k, v = (x[row : row + 1] for x in (query, key, value))
        parts = [
            part for piece in documents for part in _attend_pieces(module, q, k, v, piece, kwargs)
        ]
        padding = query.shape[2] - sum(part.shape[1] for part in parts)
        rows.append(torch.nn.functional.pad(torch.cat(parts, dim=1), (0, 0, 0, 0, 0, padding)))
    return torch.cat(rows)


def _attend_pieces(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    piece: PackedPiece,
    kwargs: dict[str, Any],
) -> list[torch.Tensor]:
    """The outputs of a document's trunk, and of its branches where it has any."""
    start, fork, stop = piece.start, piece.fork, piece.stop
    trunk_mask, branch_mask = None, piece.branch_mask
    if window := kwargs.get("sliding_window"):
        trunk_mask, branch_mask = piece.window_masks(window, query.dtype)
    q, k, v = (x[:, :, start:fork] for x in (query, key, value))
    parts = [sdpa_attention_forward(module, q, k, v, trunk_mask, **kwargs)[0]]
    if branch_mask is not None:
        keys, values = key[:, :, start:stop], value[:, :, start:stop]
        branches = query[:, :, fork:stop]
        parts.append(_attend_masked(module, branches, keys, values, branch_mask, kwargs))
    return parts


def _attend_masked(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    kwargs: dict[str, Any],
) -> torch.Tensor:
    """SDPA under a mask. A CPU's kernel reads keys that heads share as they are.

    `transformers` repeats them for every head where there is a mask, as CUDA's kernels need it:
    copies as long as the document, kept until backward, for a few branch tokens.
    """
    if query.device.type != "cpu" or kwargs.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, mask, **kwargs)[0]
    options = {"dropout_p": kwargs.get("dropout", 0.0), "scale": kwargs.get("scaling")}
    attended = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, enable_gqa=True, **options
    )
    return attended.transpose(1, 2)


def register_attention() -> None:
    """Make the attention known to `transformers` under NAME; plain calls get SDPA's masks."""
    AttentionInterface.register(NAME, split_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
