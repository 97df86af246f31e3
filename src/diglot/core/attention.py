"""The one attention rule of trunk and branches, as a dense mask or a FlexAttention mask.

Key k is seen by query q iff both belong to one document, and (k is on the trunk and k <= fork(q),
or k is on q's branch and k <= q). On the trunk fork(q) = q, so the rule is causal attention there.
"""

from collections.abc import Callable
from typing import Any

import torch

from diglot.core.layout import Packed


def visible_keys(packed: Packed) -> torch.Tensor:
    """Who sees whom, bool (B, T queries, T keys). Padding sees padding, so no row is empty."""
    document, branch, fork = packed.document_BT, packed.branch_BT, packed.fork_BT
    index = torch.arange(document.shape[1], device=document.device)
    same_document = document[:, :, None] == document[:, None, :]
    on_trunk = (branch == 0)[:, None, :] & (index[None, None, :] <= fork[:, :, None])
    same_branch = (branch[:, :, None] == branch[:, None, :]) & (branch > 0)[:, None, :]
    own_past = same_branch & (index[None, None, :] <= index[None, :, None])
    return same_document & (on_trunk | own_past)


def within_window(packed: Packed, window: int) -> torch.Tensor:
    """Which keys lie less than `window` positions behind the query, bool (B, T, T).

    Positions are those of the document: a branch counts on from its fork.
    """
    position_BT = packed.position_BT
    return position_BT[:, :, None] - position_BT[:, None, :] < window


def additive_mask(
    packed: Packed, dtype: torch.dtype = torch.float32, *, window: int | None = None
) -> torch.Tensor:
    """The rule as a float mask (B, 1, T, T): 0 where visible, the dtype's minimum elsewhere.

    `window` is that of a layer with sliding attention. Float on purpose: transformers' eager
    attention adds the mask, so a bool one is silently wrong.
    """
    shown = visible_keys(packed)
    if window is not None:
        shown = shown & within_window(packed, window)
    mask = torch.zeros(shown.shape, dtype=dtype, device=shown.device)
    return mask.masked_fill_(~shown, torch.finfo(dtype).min)[:, None]


def mask_rule(packed: Packed, *, window: int | None = None) -> Callable[..., torch.Tensor]:
    """The rule as FlexAttention's mask_mod(b, h, q, k); `window` as of `additive_mask`."""
    document, branch, fork = packed.document_BT, packed.branch_BT, packed.fork_BT
    position = packed.position_BT

    def rule(b: Any, h: Any, q: Any, k: Any) -> torch.Tensor:
        on_trunk = (branch[b, k] == 0) & (k <= fork[b, q])
        own_past = (branch[b, k] > 0) & (branch[b, q] == branch[b, k]) & (k <= q)
        shown = (document[b, q] == document[b, k]) & (on_trunk | own_past)
        return shown if window is None else shown & (position[b, q] - position[b, k] < window)

    return rule


def block_mask(packed: Packed, *, window: int | None = None) -> Any:
    """The rule as a FlexAttention BlockMask (to train on CUDA: a CPU has no backward of it)."""
    from torch.nn.attention.flex_attention import create_block_mask  # slow to load: flex alone

    rows, width = packed.token_BT.shape
    device = packed.token_BT.device
    rule = mask_rule(packed, window=window)
    return create_block_mask(rule, rows, None, width, width, device=device)
