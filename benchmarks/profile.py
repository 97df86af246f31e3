"""Where the time of a step goes, objective by objective: torch's profiler on forward and backward.

The embedded shape runs with its encoder, on pixels; the paper's shape from features on. Every
operation's own time falls to one share, by what it is part of: encoder, head, attention, else
matrix products or other operations. The rest is Python and what the profiler does not see.
The optimizer's step is left out: it is 1 ms for a projector.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.objectives import STAGES, Work, annotate_sample, prepare_work, run_step
from benchmarks.shapes import EMBEDDED, PAPER, Shape, model, samples
from diglot.models.config import VLMConfig
from diglot.models.vlm import VLM, build_vlm

LARGE = 0.03  # an operation that is no matrix product is named from this share of a step on
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::mv", "aten::dot")
SHARES = ("matrix products", "attention", "head", "encoder", "other", "Python")


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Profile every stage on both shapes; prints a table each, and the large other operations."""
    return {
        EMBEDDED.name: _shape(console, EMBEDDED, _with_encoder(layers)),
        PAPER.name: _shape(console, PAPER, model(PAPER, layers=layers)),
    }


def _with_encoder(layers: int) -> VLM:
    """The embedded models whole, but for the LLM's later layers."""
    vlm = build_vlm(VLMConfig()).requires_grad_(False).eval()
    vlm.language.model.model.layers = vlm.language.model.model.layers[:layers]
    vlm.language.model.config.num_hidden_layers = layers
    vlm.projector.requires_grad_(True)
    return vlm


def _shape(console: Console, shape: Shape, vlm: VLM) -> dict[str, Any]:
    rng = Random(0)
    made = [annotate_sample(sample, rng) for sample in samples(shape)]
    figures = {}
    for name, stage in STAGES.items():
        work = prepare_work(vlm, stage.build(), made)
        figures[name] = _profile_step(vlm, _on_pixels(work, shape) if shape == EMBEDDED else work)
    _print_figures(console, shape, figures)
    return figures


def _on_pixels(work: Work, shape: Shape) -> Work:
    views = tuple(torch.randn(3, shape.image_px, shape.image_px) for _ in work.batch.views)
    return replace(work, batch=replace(work.batch, views=views, views_are="pixels"))


def _profile_step(vlm: VLM, work: Work) -> dict[str, Any]:
    """Seconds of a step, the shares of it, and the operations that are large and no product."""
    run_step(vlm, work)
    with (
        profile(activities=[ProfilerActivity.CPU]) as profiler,
        _name_encoder(vlm.encoder),
        record_function("step"),
    ):
        run_step(vlm, work)
    spent: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for event in profiler.events() or ():
        share = _share_of(event)
        spent[share] += event.self_cpu_time_total
        if share == "other":
            others[event.name] += event.self_cpu_time_total
    total = sum(spent.values())
    return {
        "step_s": total / 1e6,
        "shares": {name: spent[name] / total for name in SHARES},
        "large": {name: t / total for name, t in others.most_common() if t >= LARGE * total},
    }


@contextmanager
def _name_encoder(encoder: Any) -> Iterator[None]:
    """While it is open, the encoder's operations have an ancestor called `encoder`."""
    forward = encoder.forward

    def forward_by_name(*args: Any) -> Any:
        with record_function("encoder"):
            return forward(*args)

    encoder.forward = forward_by_name
    try:
        yield
    finally:
        del encoder.forward


def _share_of(event: Any) -> str:
    names = list(_names_up(event))
    if "encoder" in names:
        return "encoder"
    if any("_OnePass" in name for name in names):
        return "head"
    if any("scaled_dot_product" in name.lower() for name in names):
        return "attention"
    if event.name in PRODUCTS:
        return "matrix products"
    return "Python" if event.name == "step" else "other"


def _names_up(event: Any) -> Iterator[str]:
    while event is not None:
        yield event.name
        event = event.cpu_parent


def _print_figures(
    console: Console, shape: Shape, figures: Mapping[str, Mapping[str, Any]]
) -> None:
    table = Table(title=f"a step, {shape.name} shape, {len(shape.entities)} samples", padding=0)
    table.add_column("stage", no_wrap=True)
    for column in ("seconds", *SHARES):
        table.add_column(column, justify="right")
    for name, row in figures.items():
        shares = (f"{row['shares'][share]:.1%}" for share in SHARES)
        table.add_row(name, f"{row['step_s']:.2f}", *shares)
    console.print(table)
    for name, row in figures.items():
        large = ", ".join(f"{op} {share:.1%}" for op, share in row["large"].items())
        console.print(f"{name}: other operations from {LARGE:.0%} on: {large or 'none'}")
