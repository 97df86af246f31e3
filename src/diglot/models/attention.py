"""The attention rule without a mask over everything: causal trunks, then the few branch tokens.

A document's trunk is plain causal attention, which the fastest kernels do without a mask; only its
branch tokens need one, and they are few. So work and memory follow the documents' own lengths, not
the square of the packed row. The numbers are those of core.attention's dense mask.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from diglot.core.errors import ConfigError
from diglot.core.layout import Packed

NAME = "diglot_split"


@dataclass(frozen=True)
class Piece:
    """One document of a packed row: trunk [start, fork), branches [fork, stop)."""

    start: int
    fork: int
    stop: int
    branch_mask: torch.Tensor | None  # additive, (1, 1, stop - fork, stop - start)


def pieces_of(packed: Packed, dtype: torch.dtype) -> list[list[Piece]]:
    """The documents of every row, in the row's order; padding belongs to none."""
    documents, on_branch = packed.document_BT.tolist(), (packed.branch_BT > 0).tolist()
    return [
        [
            _piece(packed, row, start, fork, stop, dtype)
            for start, fork, stop in _bounds(documents[row], on_branch[row])
        ]
        for row in range(len(documents))
    ]


def _bounds(document: list[int], on_branch: list[bool]) -> list[tuple[int, int, int]]:
    """(start, fork, stop) of each document of a row: the trunk comes before the branches."""
    bounds = []
    for number, run in groupby(range(len(document)), key=document.__getitem__):
        places = list(run)
        if number >= 0:
            start, stop = places[0], places[-1] + 1
            bounds.append((start, stop - sum(on_branch[start:stop]), stop))
    return bounds


def _piece(packed: Packed, row: int, start: int, fork: int, stop: int, dtype: torch.dtype) -> Piece:
    if fork == stop:
        return Piece(start, fork, stop, None)
    keys = torch.arange(start, stop, device=packed.fork_BT.device)
    queries = keys[fork - start :]
    branch = packed.branch_BT[row]
    trunk = (keys < fork) & (keys <= packed.fork_BT[row, fork:stop, None])
    own = (branch[start:stop] == branch[fork:stop, None]) & (keys <= queries[:, None])
    mask = torch.zeros(trunk.shape, dtype=dtype, device=keys.device)
    mask.masked_fill_(~(trunk | own), torch.finfo(dtype).min)
    return Piece(start, fork, stop, mask[None, None])


def split_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    pieces: list[list[Piece]] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of packed documents, (B, T, heads, width). Without `pieces` it is plain SDPA."""
    if pieces is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    rows = []
    for row, documents in enumerate(pieces):
        q, k, v = (x[row : row + 1] for x in (query, key, value))
        parts = [part for piece in documents for part in _attend(module, q, k, v, piece, kwargs)]
        padding = query.shape[2] - sum(part.shape[1] for part in parts)
        rows.append(torch.nn.functional.pad(torch.cat(parts, dim=1), (0, 0, 0, 0, 0, padding)))
    return torch.cat(rows), None


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    piece: Piece,
    kwargs: dict[str, Any],
) -> list[torch.Tensor]:
    """The outputs of a document's trunk, and of its branches where it has any."""
    start, fork, stop = piece.start, piece.fork, piece.stop
    _check_window(kwargs.get("sliding_window"), stop - start)
    q, k, v = (x[:, :, start:fork] for x in (query, key, value))
    parts = [sdpa_attention_forward(module, q, k, v, None, **kwargs)[0]]
    if piece.branch_mask is not None:
        keys, values = key[:, :, start:stop], value[:, :, start:stop]
        branches = query[:, :, fork:stop]
        mask = piece.branch_mask
        parts.append(sdpa_attention_forward(module, branches, keys, values, mask, **kwargs)[0])
    return parts


def _check_window(window: int | None, length: int) -> None:
    if window is not None and length > window:
        raise ConfigError(
            "a document is longer than the language model's sliding attention window",
            expected=f"at most {window} tokens",
            got=length,
            where="model.language",
            fix="Choose a model with full attention, or shorter captions and fewer tiles.",
        )


def register() -> None:
    """Make the attention known to `transformers` under NAME; plain calls get SDPA's masks."""
    AttentionInterface.register(NAME, split_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
