"""What the measures cost over one plain forward of the same images and captions.

The plain forward goes from the encoder's features to the LLM's last hidden states, in the same
batches, and keeps nothing. The encoder is left out of all: with it every ratio would be nearer to
1. CPU seconds (all threads of the process) stand beside those of the clock: on a shared machine
they are what to read.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import interleaved_clocks
from benchmarks.shapes import EMBEDDED, features, model, samples
from diglot.core.layout import pack
from diglot.measure.config import MeasureConfig
from diglot.measure.hidden_states import batch_documents, open_documents
from diglot.measure.plan import Subject
from diglot.measure.projected import ProjectedSample, project_samples
from diglot.measure.runner import measure_alignment
from diglot.models.prompt import Frame
from diglot.models.vlm import VLM

REPEATS = 3
SCENES = 100  # as the measures take by themselves
LAYERS = 30  # the whole of SmolLM2-135M: a shorter LLM would make the measures look dear
PARTS: dict[str, tuple[str, ...]] = {
    "embedding": ("embedding",),
    "embedding and layers": ("embedding", "layers"),
    "attention": ("attention",),
}


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """CPU and clock seconds of a plain forward, and of it with each group of measures."""
    shape = replace(EMBEDDED, entities=(4,) * SCENES)
    vlm, scenes = model(shape, layers=LAYERS).eval(), samples(shape)
    views = {scene.id: features(vlm, scene) for scene in scenes}

    def project(keep: int) -> list[ProjectedSample]:
        return project_samples(vlm, scenes, lambda s: views[s.id], keep_features=keep)

    works: dict[str, Callable[[], Any]] = {"plain": lambda: forward_plainly(vlm, project(0))}
    for name, parts in PARTS.items():
        works[name] = lambda parts=parts: measure_parts(vlm, project(SCENES), parts)
    forward_plainly(vlm, project(0)[:8])  # warm-up
    took = interleaved_clocks(works, repeats=REPEATS)
    _print_table(console, took)
    return {"scenes": SCENES, "layers": LAYERS, "took": took}


@torch.inference_mode()
def forward_plainly(vlm: VLM, projected: list[ProjectedSample]) -> None:
    """Images and captions through the LLM, and nothing kept."""
    documents = open_documents(vlm, projected, Frame())
    for batch in batch_documents(documents, MeasureConfig().batch_tokens):
        visual_ND = torch.cat([document.scene.visual_PD for document in batch])
        packed = pack([d.encoded for d in batch], row_tokens=1, image_of=range(len(batch)))
        vlm.decode(packed, visual_ND)


def measure_parts(vlm: VLM, projected: list[ProjectedSample], parts: tuple[str, ...]) -> Any:
    """The chosen measures with their own settings, on all scenes."""
    settings: dict[str, Any] = {name: {"scenes": SCENES} for name in parts}
    names = sorted({region.name for one in projected for region in one.sample.regions})
    options = MeasureConfig(measures=settings)
    return measure_alignment(Subject(vlm=vlm, held_out=projected, names=names, options=options))


def _print_table(console: Console, took: dict[str, dict[str, float]]) -> None:
    table = Table(title=f"Measures of {SCENES} images with captions, over a plain forward")
    for column in ("", "CPU s", "over plain", "clock s", "over plain"):
        table.add_column(column, justify="right")
    for name, seconds in took.items():
        cells = [
            text
            for clock in ("cpu_s", "clock_s")
            for text in (f"{seconds[clock]:.2f}", f"{seconds[clock] / took['plain'][clock]:.2f}")
        ]
        table.add_row(name, *cells)
    console.print(table)
