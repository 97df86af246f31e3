"""EXIF orientation: boxes and masks on stored pixels are turned, undecidable records refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from diglot.core import masks
from diglot.data.images import decode_image
from tests.data.formats.foreign import read, save_json

BOX = (3, 2, 9, 10)


def tagged(orientation: int, height: int = 24, width: int = 32) -> tuple[bytes, np.ndarray]:
    """A picture with a white rectangle at BOX of its stored pixels, and an EXIF orientation."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    return buffer.getvalue(), pixels


def read_one(folder: Path, data: bytes, size_wh: Any, box: Any = BOX) -> Any:
    (folder / "a.png").write_bytes(data)
    region = {"phrase": "it", "box": list(box)}
    record = {"id": "a", "image": "a.png", "regions": [region]}
    if size_wh:
        mask = np.zeros((24, 32), bool)
        mask[2:10, 3:9] = True
        rle = masks.encode_mask(mask)
        record["size_hw"] = list(size_wh[::-1])
        if list(rle.size_hw) == record["size_hw"]:
            region["mask"] = {"size": list(rle.size_hw), "counts": rle.counts}
    path = save_json(folder / "records.jsonl", record)
    return read("image_jsonl", path=str(path))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_on_stored_pixels_are_turned(orientation: int, tmp_path: Path) -> None:
    data, _ = tagged(orientation)
    [sample], _, _ = read_one(tmp_path, data, (32, 24))
    upright_HW3 = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert sample.size_hw == upright_HW3.shape[:2] == (32, 24)
    [region] = sample.regions
    x0, y0, x1, y1 = map(int, region.box)
    wanted_HW = np.zeros((32, 24), bool)
    wanted_HW[y0:y1, x0:x1] = True
    assert np.array_equal(upright_HW3[..., 0] == 255, wanted_HW)
    assert np.array_equal(masks.decode_mask(region.mask), wanted_HW)
    assert decode_image(sample.image).size == (24, 32)


def test_boxes_on_upright_pixels_stay(tmp_path: Path) -> None:
    [sample], _, _ = read_one(tmp_path, tagged(6)[0], (24, 32))
    assert sample.regions[0].box == BOX


@pytest.mark.parametrize(
    ("orientation", "size", "declared"),
    [(6, (24, 32), None), (3, (24, 32), (32, 24)), (6, (24, 24), (24, 24))],
    ids=["no size", "half turn", "square"],
)
def test_undecidable_orientation_is_refused(
    tmp_path: Path, orientation: int, size: Any, declared: Any
) -> None:
    _, _, [rejection] = read_one(tmp_path, tagged(orientation, *size)[0], declared)
    assert rejection.reason == "orientation of the boxes is unknown"


def test_without_regions_nothing_has_to_be_decided(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(tagged(3)[0])
    path = save_json(tmp_path / "r.jsonl", {"id": "a", "image": "a.png", "caption": "c"})
    [sample], _, _ = read("image_jsonl", path=str(path))
    assert sample.size_hw == (24, 32)
