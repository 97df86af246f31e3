"""What the synthesis pipeline costs beside its models: bare calls and whole runs, in turns.

The model of both sleeps, as a processor does while a GPU works. A round times the bare calls on
decoded pictures, then the same number of images through the whole pipeline (reading, decoding,
three steps, a part file, the dataset), from the second slice's account to the last one's: starting
up, until the first is written, is a cost of its own, and stands apart. Of several workers each has
so many slices, and one is left over, so that at the last account none waits for another.
"""

import json
import statistics
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks import trivial_annotator
from benchmarks.synth import BATCH, TRIVIAL, Generated
from diglot.core.types import Sample
from diglot.synth.config import SynthConfig
from diglot.synth.run import run_synthesis

MODEL_SECONDS, SIDE_PX = 0.05, 512
SLICE_IMAGES, SLICES, ROUNDS = 64, 5, 5
WORKERS = (0, 1, 2)


class Drawn(Generated):
    """Few pictures again and again, drawn beforehand: drawing is no cost of the pipeline."""

    def read_item(self, item: int) -> Sample:
        """A picture that is there already, under an id of its own."""
        first = _draw(item % 16)
        return Sample.captioned(
            id=f"{item:07d}", image=first.image, size_hw=first.size_hw, caption=first.caption
        )


@cache
def _draw(number: int) -> Sample:
    return Generated(16, SIDE_PX).read_item(number)


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """The pipeline's share of the model's time, in this process and with workers."""
    figures = {f"{workers} workers": measure_share(workers) for workers in WORKERS}
    table = Table(title=f"The pipeline beside a model of {1000 * MODEL_SECONDS:.0f} ms an image")
    table.add_column("engine local")
    table.add_column("figures")
    for what, values in figures.items():
        table.add_row(what, json.dumps(values, indent=1))
    console.print(table)
    return figures


def measure_share(workers: int, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Medians over rounds of bare and whole seconds, and how much more the whole takes."""
    times = [(_time_bare(), *_time_pipeline(workers)) for _ in range(rounds)]
    bare_s, whole_s, start_s = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = sorted(whole / bare for bare, whole, _ in times)
    return {
        "bare s": bare_s,
        "whole s": whole_s,
        "more than bare": whole_s / bare_s - 1,
        "least": ratios[0] - 1,
        "most": ratios[-1] - 1,
        "start and first slice s": start_s,
    }


def _time_bare() -> float:
    """The calls alone, of all slices but two."""
    model = trivial_annotator.build(trivial_annotator.Config(seconds=MODEL_SECONDS))
    pictures = [Image.new("RGB", (SIDE_PX, SIDE_PX))] * BATCH
    began_s = time.perf_counter()
    for _ in range(SLICE_IMAGES * (SLICES - 2) // BATCH):
        model.detect_objects(pictures, [()] * BATCH)
    return time.perf_counter() - began_s


def _time_pipeline(workers: int) -> tuple[float, float]:
    """Seconds from each worker's second slice to its last one, and those to the first slice."""
    began_s, each = time.time(), max(workers, 1)
    steps = {
        "boxes": {"annotator": {"name": TRIVIAL, "seconds": MODEL_SECONDS}, "batch": BATCH},
        "area": {"step": "filters", "max_box_share": 0.5},
        "spans": {},
    }
    config = SynthConfig(steps=steps, slice_images=SLICE_IMAGES, workers=workers)
    with tempfile.TemporaryDirectory() as folder:
        images = Drawn(SLICE_IMAGES * (SLICES * each + each - 1), SIDE_PX)
        run_synthesis(images, Path(folder) / "out", config)
        accounts = (Path(folder) / "out").rglob("slice-*.json")
        written_s = sorted(path.stat().st_mtime for path in accounts)
    return written_s[SLICES * each - 1] - written_s[2 * each - 1], written_s[0] - began_s
