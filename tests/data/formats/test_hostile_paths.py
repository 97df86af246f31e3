"""A picture's name in a foreign file cannot lead out of the image folder, in any format."""

import re
import shutil
from pathlib import Path

import pytest

from tests.data.formats.foreign import make_sample, read, settings_of, write

# The others hold the pictures themselves, or go by the names of files that are there.
BY_NAME = ("coco", "pad_json", "grandf", "grand", "sa1b", "refcoco")
BY_NAME += ("image_jsonl", "llava_json", "cambrian_jsonl")
BY_ID = ("open_images", "visual_genome")  # whose pictures are named by the record's id
TEXTS = (".json", ".jsonl", ".csv", ".txt")


@pytest.mark.parametrize("name", [*BY_NAME, *BY_ID])
def test_a_name_that_leads_out_is_a_rejection(name: str, tmp_path: Path) -> None:
    write(name, [make_sample(0), make_sample(1)], tmp_path)
    images = Path(settings_of(name, tmp_path).get("images", tmp_path / "out"))
    picture = next(path for path in sorted(images.rglob("*")) if path.suffix == ".jpg")
    shutil.copy(picture, images.parent / "secret.jpg")
    within = picture.relative_to(images)
    if name in BY_ID:
        named, outside = rf"\b{picture.stem}\b", "../" * len(within.parts) + "secret"
    else:
        named, outside = rf"({within.parent.as_posix()}/)?{picture.name}", "../secret.jpg"
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix in TEXTS:
            path.write_text(re.sub(named, outside, path.read_text()))
    found, _, rejections = read(name, **settings_of(name, tmp_path))
    assert len(found) == 1
    assert "folder" in rejections[0].reason
    assert len(rejections) == 1
