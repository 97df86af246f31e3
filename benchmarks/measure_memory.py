"""Memory of the layer measures beside the model, at full size: 729 tokens x 4,096 wide x 33 states.

A language model of that size is not run: every layer's states are made up as it would give them,
fresh for every batch, and go through the measures' own code; visual tokens, file, means, kernels
and intervals are as in a real run. Linux alone: the peak is read from /proc.
"""

import gc
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.shapes import FixedFeatures, Shape, features, samples
from diglot.core.preprocess import Preprocess
from diglot.measure.config import MeasureConfig
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from diglot.measure.row_store import RowStore
from diglot.measure.runner import measure_alignment
from diglot.models.language import Language, LanguageConfig, load_language
from diglot.models.projectors import mlp
from diglot.models.vlm import VLM

SIDE, WIDTH, LAYERS = 27, 4096, 32  # 729 tokens
COUNTS = (25, 100)  # images
STATUS, PAGES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Peak bytes at each number of images."""
    vlm = _make_vlm()
    start = _read_status("VmRSS")  # once: what one measurement leaves is not given back at once
    figures = {str(count): _measure(vlm, count, start) for count in COUNTS}
    table = Table("images", "peak over the start, MB", "in the file, MB", "seconds")
    for count, found in figures.items():
        table.add_row(count, *(f"{value:.0f}" for value in found.values()))
    console.print(table)
    return figures


def _make_vlm() -> VLM:
    """A word table of full width, one thin layer, and made-up states of `LAYERS` layers."""
    tokenizer = load_language(LanguageConfig()).tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=32,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    language = Language(LlamaForCausalLM(config).eval(), tokenizer)
    projector = mlp.build(
        mlp.Config(hidden=256),
        encoder_width=FixedFeatures.width,
        llm_width=WIDTH,
        embeddings_rms=language.embeddings_rms(),
    )
    vlm = VLM(FixedFeatures(_shape(1)), projector, language, Preprocess(image_px=14 * SIDE))
    vlm.decode = _MadeStates(2 * SIDE**2)  # type: ignore[method-assign]
    return vlm.eval()


def _shape(images: int) -> Shape:
    return Shape("full", 14 * SIDE, "squash", 14, 14 * SIDE, 50, (4,) * images, 1, 0.08)


class _MadeStates:
    """Stands where the decoder is: states of every layer, the batch's own, each in new memory."""

    def __init__(self, tokens: int) -> None:
        self.noise_TD = torch.randn(tokens, WIDTH)

    def __call__(self, packed: Any, visual_ND: torch.Tensor, *, every_layer: bool = False) -> Any:
        rows, length = packed.token_BT.shape
        own_D, noise_BTD = visual_ND.mean(dim=0), self.noise_TD[:length].expand(rows, -1, -1)
        states = tuple(noise_BTD * (1 + layer / LAYERS) + own_D for layer in range(LAYERS + 1))
        return SimpleNamespace(hidden_states=states, last_hidden_state=states[-1])


def _measure(vlm: VLM, count: int, start: int) -> dict[str, float]:
    """Megabytes over the start at the peak and in the file, and seconds."""
    scenes = samples(_shape(count))
    gc.collect()
    PAGES.write_text("5")  # the peak starts again
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = RowStore(Path(folder), 0)  # no token stays in memory
        held_out = project_samples(vlm, scenes, lambda one: features(vlm, one), store=store)
        options = MeasureConfig(measures={"layers": {"scenes": count}})
        measure_alignment(Subject(vlm=vlm, held_out=held_out, options=options))
    peak = (_read_status("VmHWM") - start) / 1e6
    return {"peak_mb": peak, "file_mb": store.stored_bytes / 1e6, "s": time.perf_counter() - began}


def _read_status(name: str) -> int:
    """Bytes of this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
