"""Small samples for the tests of datasets."""

import io

import numpy as np
from PIL import Image

from diglot.core import masks
from diglot.core.types import Lineage, Region, Sample


def jpeg(seed, height=24, width=32):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def sample(index, **changes):
    mask = np.zeros((24, 32), bool)
    mask[2:10, 3 : 9 + index % 8] = True
    fields = {
        "id": f"s-{index:04d}",
        "image": jpeg(index),
        "size_hw": (24, 32),
        "caption": f"A small dog and number {index}.",
        "regions": (
            Region(
                phrase="small dog",
                label="dog",
                span=(2, 11),
                box=(3.0, 2.0, 9.0 + index % 8, 10.0),
                mask=masks.encode_mask(mask),
                score=0.1 + 1 / (index + 2),
                source="pool/train/7",
            ),
            Region(phrase="elsewhere", box=(0.1, 0.2, 31.7, 23.9)),
        ),
        "lineage": (Lineage(step="tests", revision="1"), Lineage(step="other")),
    }
    return Sample.captioned(**(fields | changes))
