"""Whether the memory of the synthesis pipeline grows, and how good the embedded annotators are.

`python -m benchmarks synth` runs all; 100,000 images take some minutes.
"""

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from rich.console import Console
from rich.table import Table

from benchmarks.machine import resident_mib
from diglot.core import masks
from diglot.core.progress import Progress
from diglot.core.types import Sample
from diglot.data.images import decode_image
from diglot.data.records import open_dataset, write_dataset
from diglot.synth.annotators import grabcut, mobilesam, ssd_mobilenet
from diglot.synth.config import SynthConfig
from diglot.synth.run import run_synthesis

TRIVIAL = "benchmarks.trivial_annotator"
BATCH = 8
SIZES = (1_000, 10_000, 100_000)
SCENES, MASK_SCENES = 120, 24
# CIFAR-10's kinds by COCO's names; the others of a scene are drawings, which COCO has not.
COCO_NAMES = {"airplane": "airplane", "car": "car", "bird": "bird", "cat": "cat", "dog": "dog"}
COCO_NAMES |= {"horse": "horse", "ship": "boat", "truck": "truck"}


class Generated:
    """Images of a few kilobytes, made when they are asked for."""

    def __init__(self, count: int, side_px: int) -> None:
        self._count, self._side = count, side_px

    def rejections(self) -> tuple[()]:
        """None."""
        return ()

    def list_items(self) -> Iterator[int]:
        """Their numbers."""
        return iter(range(self._count))

    def read_item(self, item: int) -> Sample:
        """Coarse noise as a JPEG."""
        rng = np.random.default_rng(item)
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((self._side, self._side)).save(buffer, "JPEG")
        size_hw = (self._side, self._side)
        image, caption = buffer.getvalue(), f"A thing, number {item}."
        return Sample.captioned(id=f"{item:07d}", image=image, size_hw=size_hw, caption=caption)

    def describe(self) -> dict[str, Any]:
        """For the dataset's description."""
        return {"kind": "generated", "count": self._count}


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Both."""
    figures: dict[str, Any] = {"memory": measure_memory(), "quality": measure_quality()}
    table = Table(title="Synthesis")
    table.add_column("what")
    table.add_column("figures")
    for what, values in figures.items():
        table.add_row(what, json.dumps(values, indent=1))
    console.print(table)
    return figures


def steps(seconds: float) -> dict[str, Any]:
    """A detector, a filter and spans."""
    detector = {"name": TRIVIAL, "seconds": seconds}
    return {
        "boxes": {"annotator": detector, "batch": BATCH},
        "area": {"step": "filters", "max_box_share": 0.5},
        "spans": {},
    }


def measure_memory(sizes: Sequence[int] = SIZES) -> dict[str, dict[str, float]]:
    """Memory of one run of the last size after so many images, and images a second."""
    code = "import sys, benchmarks.synth as b; b.watch_memory(*map(int, sys.argv[1:]))"
    command = [sys.executable, "-c", code, *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def watch_memory(*sizes: int) -> None:
    """Run the last size in this process; print the memory when each size is reached."""
    found: dict[str, dict[str, float]] = {}
    began_s = time.perf_counter()

    def watch(progress: Progress) -> None:
        for size in sizes:
            if progress.stage == "images" and progress.done >= size and str(size) not in found:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                rate = progress.done / (time.perf_counter() - began_s)
                memory = {"peak MiB": peak, "resident MiB": resident_mib()}
                found[str(size)] = {**memory, "images/s": rate}
                print(json.dumps(found), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        config = SynthConfig(steps=steps(0))
        run_synthesis(Generated(max(sizes), 64), Path(folder) / "out", config, report=watch)
    print(json.dumps(found))


def measure_quality() -> dict[str, dict[str, float]]:
    """The embedded annotators on composed scenes, whose boxes and masks are known exactly."""
    scenes = _compose_scenes()
    pictures = [decode_image(scene.image) for scene in scenes]
    found = {}
    for threshold in (0.3, 0.4, 0.5):
        detector = ssd_mobilenet.build(ssd_mobilenet.Config(threshold=threshold))
        name = f"ssd_mobilenet boxes (CIFAR-10 objects), threshold {threshold}"
        found[name] = _box_quality(scenes, pictures, detector)
    segmenters = {
        "mobilesam 512 px": mobilesam.build(mobilesam.Config(image_px=512)),
        "mobilesam 1024 px": mobilesam.build(mobilesam.Config(image_px=1024)),
        "grabcut": grabcut.build(grabcut.Config()),
    }
    for name, segmenter in segmenters.items():
        for source in ("cifar10", "emoji"):
            found[f"{name} masks from true boxes, {source}"] = _mask_quality(
                scenes[:MASK_SCENES], pictures, segmenter, source
            )
    return found


def _compose_scenes() -> list[Sample]:
    from diglot.synth.scenes.compose import SceneMaker
    from diglot.synth.scenes.config import ScenesConfig
    from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools

    photos = embedded_backgrounds()
    maker = SceneMaker(embedded_pools(), ScenesConfig(), split="test", seed=0, photos=photos)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset((maker.scene(index) for index in range(SCENES)), Path(folder))
        return list(open_dataset(Path(folder)))


def _box_quality(
    scenes: Sequence[Sample], pictures: Sequence[Image.Image], detector: Any
) -> dict[str, float]:
    """Precision and recall at IoU 0.5, a box of the right kind; mean IoU of the right ones."""
    right, given, there, ious = 0, 0, 0, []
    kinds = set(COCO_NAMES.values())
    for scene, found in zip(
        scenes, detector.detect_objects(pictures, [()] * len(scenes)), strict=True
    ):
        truth = [(COCO_NAMES[r.name], r.box) for r in scene.regions if r.name in COCO_NAMES]
        boxes = [d for d in found if d.label in kinds]
        there, given, open_ = there + len(truth), given + len(boxes), list(truth)
        for one in sorted(boxes, key=lambda d: -d.score):
            same = [(_iou(one.box, box), name, box) for name, box in open_ if name == one.label]
            best_iou, name, box = max(same, default=(0.0, "", one.box))
            if best_iou >= 0.5:
                right += 1
                ious.append(best_iou)
                open_.remove((name, box))
    return {
        "precision": right / max(given, 1),
        "recall": right / max(there, 1),
        "IoU of right boxes": float(np.mean(ious)) if ious else 0.0,
        "objects": there,
    }


def _iou(first: Sequence[float], second: Sequence[float]) -> float:
    x0, y0, x1, y1 = np.array([first, second], np.float64).T
    xywh: Any = np.stack([x0, y0, x1 - x0, y1 - y0], axis=1)
    ious: Any = coco.iou(xywh[:1], xywh[1:], [0])
    return float(ious[0, 0])


def _mask_quality(
    scenes: Sequence[Sample], pictures: Sequence[Image.Image], segmenter: Any, source: str
) -> dict[str, float]:
    ious, began_s = [], time.perf_counter()
    for scene, picture in zip(scenes, pictures, strict=False):
        regions = [r for r in scene.regions if r.mask and r.source.startswith(source)]
        if not regions:
            continue
        boxes = np.array([region.box for region in regions])
        for region, (mask_HW, _) in zip(
            regions, segmenter.segment_boxes([picture], [boxes])[0], strict=True
        ):
            true_HW = masks.decode_mask(region.mask)  # type: ignore[arg-type]
            ious.append((mask_HW & true_HW).sum() / max((mask_HW | true_HW).sum(), 1))
    took_s = time.perf_counter() - began_s
    return {
        "mean IoU": float(np.mean(ious)),
        "IoU above 0.75": float(np.mean(np.array(ious) > 0.75)),
        "objects": len(ious),
        "s an image": took_s / len(scenes),
    }
