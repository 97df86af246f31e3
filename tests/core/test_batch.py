"""A batch moves with all its tensors."""

import torch

from diglot.core.batch import Batch
from diglot.core.layout import encode, pack
from diglot.core.segments import Image, Tokens


def test_all_tensors_move_and_nothing_else_changes() -> None:
    document = encode((Tokens((1,)), Image()), visual_counts=[2], terms=("text",))
    batch = Batch(
        packed=pack([document], row_tokens=4),
        views=(torch.zeros(3, 8, 8), torch.zeros(3, 8, 16)),
        views_are="pixels",
        grids=(),
        ids=("a",),
        targets=({"kept": 1},),
        counts={"text": 1.0},
    )
    moved = batch.to(torch.device("meta"))
    tensors = [v for v in vars(moved.packed).values() if isinstance(v, torch.Tensor)]
    assert len(tensors) == 12
    assert {t.device.type for t in (*tensors, *moved.views)} == {"meta"}
    assert [v.shape for v in moved.views] == [v.shape for v in batch.views]
    assert moved.packed.terms == ("text",)
    assert (moved.ids, moved.targets, moved.counts) == (batch.ids, batch.targets, batch.counts)
    assert batch.packed.token_BT.device.type == "cpu"
