"""How some stock language models read visual tokens otherwise than words.

Qwen2.5-VL and Qwen3-VL give them positions of rows and columns (M-RoPE, Wang et al. 2024, arXiv
2409.12191, section 2.1); Gemma 3 lets the tokens of an image see each other both ways, PaliGemma
the whole prefix: image and prompt, all that stands before the first learned word (Beyer et al.
2024, arXiv 2407.07726, section 3.2). Everything else of the one attention rule holds.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import torch

from diglot.core.attention import visible_keys, within_window
from diglot.core.layout import CELL_ROW, Packed
from diglot.models.config import LanguageConfig, VLMConfig


@dataclass(frozen=True, kw_only=True)
class VisualRule:
    """What a language model does with visual tokens beside reading them like words."""

    grid_positions: bool = False
    """Positions are of three axes: time, row, column; text continues behind the largest."""
    both_ways: Literal["image", "prefix"] | None = None
    """Whose tokens see each other both ways. A sliding window limits it within an image and not
    within a prefix, as the stock classes have it."""

    @property
    def is_plain(self) -> bool:
        """Whether visual tokens are read like words and nothing more."""
        return self == VisualRule()


def read_rule(config: LanguageConfig) -> VisualRule:
    """The rule that a model's settings ask for."""
    return VisualRule(grid_positions=config.grid_positions, both_ways=config.both_ways)


def opens_document(config: VLMConfig, bos: Any) -> bool:
    """Whether an image stands before the BOS, as PaliGemma has it: the mark behind it is the BOS.

    Nothing can then stand before the image.
    """
    marks = config.preprocess.marks if config.preprocess else None
    in_prefix = config.language.both_ways == "prefix"
    return in_prefix and marks is not None and bool(bos) and marks.end == bos


def grid_positions(packed: Packed) -> torch.Tensor:
    """Positions (3, B, T): text counts on, an image's tokens stand at its start + row, + column.

    An image of h rows and w columns takes max(h, w) of the count; patches without a grid are each
    an image of one token. A branch counts on from what follows its fork.
    """
    rows = [_row_positions(packed, row) for row in range(len(packed.token_BT))]
    return torch.tensor(rows, device=packed.token_BT.device).permute(2, 0, 1)


def _row_positions(packed: Packed, row: int) -> list[list[int]]:
    """(time, row, column) of every position of one packed row."""
    cells, documents = packed.cell_BT[row].tolist(), packed.document_BT[row].tolist()
    branches, forks = packed.branch_BT[row].tolist(), packed.fork_BT[row].tolist()
    plain = packed.position_BT[row].tolist()
    places = [[0, 0, 0] for _ in cells]
    following = [0] * len(cells)  # the position of the next word behind each one
    for number, run in groupby(range(len(cells)), key=documents.__getitem__):
        start = ahead = 0  # of the image that is being read, and of the next word
        for at in run if number >= 0 else ():
            if branches[at]:
                fork = forks[at]
                places[at] = [following[fork] + plain[at] - plain[fork] - 1] * 3
                continue
            if cells[at] < 0:
                places[at], ahead = [ahead] * 3, ahead + 1
            else:
                y, x = divmod(cells[at], CELL_ROW)
                start = ahead if y == x == 0 else start
                places[at], ahead = [start, start + y, start + x], max(ahead, start + max(y, x) + 1)
            following[at] = ahead
    return places


def both_ways_blocks(packed: Packed, of: Literal["image", "prefix"]) -> torch.Tensor:
    """Numbers of the blocks (B, T) whose tokens see each other both ways, -1 for none.

    A block's tokens are of one document; two documents may have blocks of one number.
    """
    if of == "image":
        is_visual = packed.visual_BT >= 0
        begins = is_visual & ~torch.nn.functional.pad(is_visual, (1, 0))[:, :-1]
        return begins.cumsum(1).where(is_visual, -1)
    return packed.document_BT.where(_in_prefix(packed), -1)


def _in_prefix(packed: Packed) -> torch.Tensor:
    """Trunk tokens up to the first that predicts, bool (B, T); of nothing learned, all of them."""
    rows, width = packed.token_BT.shape
    index_T = torch.arange(width, device=packed.token_BT.device)
    queries = torch.zeros(rows * width, dtype=torch.bool, device=index_T.device)
    queries[packed.query_S] = True
    on_trunk = packed.branch_BT == 0  # a branch's first query is the trunk token it forks from
    queries_BT = queries.view(rows, width) & on_trunk
    same_BTT = packed.document_BT[:, :, None] == packed.document_BT[:, None, :]
    first_BT = index_T.where(queries_BT, width)[:, None, :].where(same_BTT, width).amin(2)
    return on_trunk & (packed.document_BT >= 0) & (index_T <= first_BT)


def rule_mask(
    packed: Packed, of: Literal["image", "prefix"], dtype: torch.dtype, window: int | None = None
) -> torch.Tensor:
    """The attention rule with blocks seen both ways, as a float mask (B, 1, T, T)."""
    block_BT = both_ways_blocks(packed, of)
    in_block = (block_BT[:, :, None] == block_BT[:, None, :]) & (block_BT >= 0)[:, None, :]
    in_block &= packed.document_BT[:, :, None] == packed.document_BT[:, None, :]
    shown = visible_keys(packed)
    near = shown if window is None else within_window(packed, window)
    shown = (shown | in_block) & near if of == "image" and window else (shown & near) | in_block
    mask = torch.zeros(shown.shape, dtype=dtype, device=shown.device)
    return mask.masked_fill_(~shown, torch.finfo(dtype).min)[:, None]


def describe_rule(rule: VisualRule) -> str:
    """The rule in a few words, for messages."""
    parts = ["positions of rows and columns"] * rule.grid_positions
    parts += [f"attention both ways within the {rule.both_ways}"] * bool(rule.both_ways)
    return " and ".join(parts)


def position_inputs(rule: VisualRule, packed: Packed) -> dict[str, Any]:
    """The decoder's `position_ids`."""
    return {"position_ids": grid_positions(packed) if rule.grid_positions else packed.position_BT}
