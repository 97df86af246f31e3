"""Memory does not grow with the number of records, in formats of each way of reading."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.formats.foreign import save_image

# Reads a dataset through, and prints how much memory was added after the first tenth, in MiB.
READ = """
import sys, resource, json
from pathlib import Path
from diglot.config.parts import build_part
from diglot.data.convert import Conversion, read_samples
def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
settings, count = json.loads(sys.argv[1]), int(sys.argv[2])
done = Conversion()
source = build_part("diglot.data.formats", settings, where="tests")
early = late = 0.0
for number, _ in enumerate(read_samples(source, done, lambda rejection: None)):
    if number == count // 10:
        early = resident_mib()
    if number > count // 10 and number % (count // 10) == 0:
        late = max(late, resident_mib())
assert done.kept == count, done
print(late - early)
"""


def write_llava(folder: Path, count: int) -> dict[str, str]:
    turns = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a dog " * 50}]
    with open(folder / "data.json", "w") as file:
        file.write("[")
        for number in range(count):
            record = {"id": f"{number:09d}", "image": "a.jpg", "conversations": turns}
            file.write(("," if number else "") + json.dumps(record))
        file.write("]")
    return {"name": "llava_json", "path": str(folder / "data.json"), "captions": True}


def write_coco(folder: Path, count: int) -> dict[str, str]:
    """Annotations stand before images, and an image's annotations far apart."""
    box = {"category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    for number in range(count):
        (folder / f"{number}.jpg").symlink_to("a.jpg")
    with open(folder / "data.json", "w") as file:
        file.write('{"categories": [{"id": 1, "name": "dog"}], "annotations": [')
        rows = (box | {"id": n, "image_id": n % count} for n in range(2 * count))
        file.write(",".join(map(json.dumps, rows)) + '], "images": [')
        names = ({"id": n, "file_name": f"{n}.jpg", "width": 32} for n in range(count))
        file.write(",".join(json.dumps(name | {"height": 24}) for name in names) + "]}")
    return {"name": "coco", "path": str(folder / "data.json")}


def growth_mib(folder: Path, settings: dict[str, str], count: int) -> float:
    settings["images"] = str(folder)
    command = [sys.executable, "-c", READ, json.dumps(settings), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.parametrize("make", [write_llava, write_coco])
@pytest.mark.parametrize(
    "count", [3_000, pytest.param(1_000_000, marks=pytest.mark.slow)], ids=["small", "million"]
)
def test_memory_stays(make, count: int, tmp_path: Path) -> None:
    if make is write_coco:
        count //= 10  # a file a record
    save_image(tmp_path / "a.jpg")
    assert growth_mib(tmp_path, make(tmp_path, count), count) < 24
