"""Time and memory of the loss: they follow the supervised positions S, not T × vocabulary."""

from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import seconds
from diglot.models.logprobs import target_log_probs

WIDTH, VOCABULARY = 576, 49152


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Our loss and the usual one (full logits, then pick) over growing T at fixed S, and back."""
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False).requires_grad_(False)
    table = Table(title="Loss at the supervised positions against full logits")
    for column in ("T", "S", "ours s", "full s", "full / ours", "ours keeps MB", "full keeps MB"):
        table.add_column(column, justify="right")
    rows = []
    for positions, supervised in ((512, 64), (1024, 64), (2048, 64), (2048, 256), (2048, 1024)):
        row = _row(head, positions, supervised)
        rows.append(row)
        table.add_row(
            str(positions),
            str(supervised),
            f"{row['ours_s']:.3f}",
            f"{row['full_s']:.3f}",
            f"{row['full_s'] / row['ours_s']:.1f}",
            f"{row['ours_mb']:.0f}",
            f"{row['full_mb']:.0f}",
        )
    console.print(table)
    return {"rows": rows}


def _row(head: torch.nn.Linear, positions: int, supervised: int) -> dict[str, float]:
    hidden = torch.randn(positions, WIDTH, requires_grad=True)
    query = torch.randperm(positions)[:supervised].sort().values
    target = torch.randint(0, VOCABULARY, (supervised,))

    def ours() -> None:
        (-target_log_probs(hidden, query, target, head).sum()).backward()

    def full() -> None:
        labels = torch.full((positions,), -100).index_put((query,), target)
        torch.nn.functional.cross_entropy(head(hidden).float(), labels, reduction="sum").backward()

    return {
        "positions": positions,
        "supervised": supervised,
        "ours_s": seconds(ours),
        "full_s": seconds(full),
        "ours_mb": _kept_mb(ours, head),
        "full_mb": _kept_mb(full, head),
    }


def _kept_mb(work: Any, head: torch.nn.Linear) -> float:
    """What the forward pass keeps for the backward beside the weights, in MB, each storage once."""
    storages: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() != head.weight.untyped_storage().data_ptr():
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        work()
    return sum(storages.values()) / 1e6
