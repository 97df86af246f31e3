"""Reading and writing foreign datasets in tests, as `diglot convert` does."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from diglot.config.parts import build_part
from diglot.core import masks
from diglot.core.types import Region, Sample, Turn
from diglot.data.convert import Conversion, read_samples, write_foreign
from diglot.data.rejected import Rejection
from tests.data.pictures import jpeg

FORMATS = "diglot.data.formats"


def read(name: str, **settings: Any) -> tuple[list[Sample], Conversion, list[Rejection]]:
    """All samples of a foreign dataset, what became of the records, and the rejections."""
    done, rejections = Conversion(), []
    source = build_part(FORMATS, {"name": name, **settings}, where="tests")
    return list(read_samples(source, done, rejections.append)), done, rejections


def write(name: str, samples: Iterable[Sample], folder: Path) -> Conversion:
    """Write samples in a foreign format."""
    done = Conversion()
    target = build_part(FORMATS, {"name": name, **settings_of(name, folder)}, where="tests")
    write_foreign(samples, target, folder / "out", done, lambda rejection: None)
    return done


def settings_of(name: str, folder: Path) -> dict[str, str]:
    """The settings that read what `write` wrote into `folder`."""
    path = {
        "coco": "instances.json",
        "objects365": "instances.json",
        "refcoco": "refs(diglot).p",
        "visual_genome": "region_descriptions.json",
        "llava_json": "data.json",
        "cambrian_jsonl": "data.jsonl",
        "pad_json": "pad.json",
        "grand": "annotations",
        "grandf": "grandf.json",
        "open_images": "annotations-bbox.csv",
        "image_jsonl": "records.jsonl",
    }.get(name, "")
    folder = folder / "out"
    settings = {"path": str(folder / path)}
    if name not in ("webdataset", "llava_next", "sa1b", "image_jsonl"):
        settings["images"] = str(folder / "images")
    if name == "coco":
        settings["captions"] = str(folder / "captions.json")
    return settings


def save_json(path: Path, value: Any) -> Path:
    """Write a fixture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def save_image(path: Path, seed: int = 0, height: int = 24, width: int = 32) -> Path:
    """Write a small JPEG of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(seed, height, width))
    return path


def make_mask(x0: int, y0: int, x1: int, y1: int, size_hw: tuple[int, int] = (24, 32)) -> Any:
    """A rectangle as a mask."""
    mask = np.zeros(size_hw, bool)
    mask[y0:y1, x0:x1] = True
    return masks.encode_mask(mask)


def make_sample(number: int) -> Sample:
    """A sample with two regions in its caption and a mask on each."""
    return Sample.captioned(
        id=f"s{number}",
        image=jpeg(number),
        size_hw=(24, 32),
        caption=f"a small dog and a cat, number {number}",
        regions=(
            Region(
                phrase="small dog",
                label="dog",
                span=(2, 11),
                box=(3.0, 2.0, 9.0, 10.0),
                mask=make_mask(3, 2, 9, 10),
                score=0.5,
                source="drawn",
            ),
            Region(
                phrase="cat",
                label="cat",
                span=(18, 21),
                box=(10.0, 4.0, 30.0, 20.0),
                mask=make_mask(10, 4, 30, 20),
            ),
        ),
    )


def make_conversation(number: int, images: int = 2) -> Sample:
    """A conversation about several images, with a region in its second turn."""
    markers = " and ".join(["<image>"] * images)
    turns = (
        Turn(role="system", text="Be brief."),
        Turn(role="user", text=f"{markers} What is it?"),
        Turn(role="assistant", text="A small dog.", learn=True),
    )
    region = Region(phrase="small dog", span=(2, 11), turn=2, image=images - 1, box=(1, 2, 9, 10))
    return Sample(
        id=f"c{number}",
        images=tuple(jpeg(number * 10 + n) for n in range(images)),
        sizes_hw=((24, 32),) * images,
        turns=turns,
        regions=(region,) if images else (),
    )
