"""Whether the memory of `diglot convert` grows: every format written, and read, record by record.

`python -m benchmarks convert` takes some minutes. One format at another size:

    python -c "import benchmarks.convert as b; print(b.measure_format('coco', 1_000_000))"
"""

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.machine import resident_mib
from diglot.config.parts import build_part
from diglot.core import masks
from diglot.core.types import Region, Sample
from diglot.data.convert import Conversion, read_samples, write_foreign, write_split
from diglot.data.writer import DatasetWriter

COUNT = 10_000
FORMATS: dict[str, str] = {
    "cambrian_jsonl": "data.jsonl",
    "coco": "instances.json",
    "flickr30k_entities": "",
    "grand": "annotations",
    "grandf": "grandf.json",
    "image_jsonl": "records.jsonl",
    "llava_json": "data.json",
    "llava_next": "",
    "open_images": "annotations-bbox.csv",
    "pad_json": "pad.json",
    "refcoco": "refs(diglot).p",
    "sa1b": "",
    "visual_genome": "region_descriptions.json",
    "webdataset": "",
}
"""Formats and the file or folder that is named to read what was written."""
CAPTIONS = ("cambrian_jsonl", "llava_json", "llava_next")
OWN_IMAGES = ("webdataset", "llava_next", "sa1b", "image_jsonl")


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Every format at one size."""
    figures = {name: measure_format(name, COUNT) for name in FORMATS}
    table = Table(title=f"Memory of {COUNT:,} records, in MiB beyond the first tenth")
    for column in ("format", "way", "growth", "resident", "peak", "records/s"):
        table.add_column(column)
    for name, ways in figures.items():
        for way, found in ways.items():
            table.add_row(name, way, *(f"{value:,.1f}" for value in found.values()))
    console.print(table)
    return figures


def measure_format(name: str, count: int) -> dict[str, dict[str, float]]:
    """Generated samples written in the format, and read from it into a dataset of ours."""
    with tempfile.TemporaryDirectory() as folder:
        return {way: _run_apart(way, name, count, folder) for way in ("write", "read")}


def _run_apart(way: str, name: str, count: int, folder: str) -> dict[str, float]:
    """In a process of its own, whose memory is its alone."""
    code = f"import sys, benchmarks.convert as b; b.{way}_format(*sys.argv[1:])"
    command = [sys.executable, "-c", code, name, str(count), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_format(name: str, count: str, folder: str) -> None:
    """Generated samples, written in the format; prints what it took."""
    watched = _Watched(_make_samples(int(count)), int(count))
    done = Conversion()
    target = build_part("diglot.data.formats", _settings(name, folder), where="benchmark")
    write_foreign(watched, target, Path(folder) / "foreign", done, print)
    watched.print_figures()


def read_format(name: str, count: str, folder: str) -> None:
    """The format read into a dataset of ours, as `diglot convert` does; prints what it took."""
    done = Conversion()
    source = build_part("diglot.data.formats", _settings(name, folder), where="benchmark")
    watched = _Watched(read_samples(source, done, print), int(count))
    with DatasetWriter(Path(folder) / "ours") as writer:
        write_split(watched, writer, done, print)
    assert done.kept == int(count), done
    watched.print_figures()


def _settings(name: str, folder: str) -> dict[str, Any]:
    out = Path(folder) / "foreign"
    settings: dict[str, Any] = {"name": name, "path": str(out / FORMATS[name])}
    if name not in OWN_IMAGES:
        settings["images"] = str(out / "images")
    if name == "coco":
        settings["captions"] = str(out / "captions.json")
    return settings | ({"captions": True} if name in CAPTIONS else {})


class _Watched:
    """Samples as they pass, and the memory meanwhile."""

    def __init__(self, samples: Iterable[Sample], count: int) -> None:
        self._samples, self._count = samples, count
        self._early = self._late = 0.0
        self._began_s = time.perf_counter()

    def __iter__(self) -> Iterator[Sample]:
        step = self._count // 10
        for number, sample in enumerate(self._samples, start=1):
            yield sample
            if number == step:
                self._early = resident_mib()
            elif number % step == 0:
                self._late = max(self._late, resident_mib())

    def print_figures(self) -> None:
        """As JSON, once all is written, with the rate."""
        rate = self._count / (time.perf_counter() - self._began_s)
        late = max(self._late, resident_mib())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {"growth": late - self._early, "resident": late, "peak": peak, "rate": rate}
        print(json.dumps(figures))


def _make_samples(count: int) -> Iterator[Sample]:
    """A picture with a phrase of the caption, its box and its mask; the ids differ."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (90, 120, 150)).save(buffer, "JPEG")
    mask_HW = np.zeros((24, 32), bool)
    mask_HW[2:10, 3:9] = True
    dog = Region(phrase="dog", span=(8, 11), box=(3, 2, 9, 10), mask=masks.encode_mask(mask_HW))
    fields: Any = {"image": buffer.getvalue(), "size_hw": (24, 32), "regions": (dog,)}
    for number in range(count):
        id = f"{number // 1000:04d}/{number:09d}"
        yield Sample.captioned(id=id, caption=f"A small dog, number {number}.", **fields)
