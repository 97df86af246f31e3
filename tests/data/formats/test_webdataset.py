"""WebDataset: archives of others, torn ones, files of other kinds."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from diglot.core.errors import DataError
from tests.data.formats.foreign import make_sample, read, settings_of, write
from tests.data.pictures import jpeg


def save_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_archives_of_others(tmp_path: Path) -> None:
    files = {
        "a/1.jpg": jpeg(1),
        "a/1.txt": b"a dog\n",
        "a/1.json": json.dumps({"caption": "another", "url": "x"}).encode(),
        "a/1.cls": b"3",
        "a/2.JPG": jpeg(2),
        "a/2.json": json.dumps({"caption": "a cat"}).encode(),
        "a/3.txt": b"no picture",
        "a/4.jpg": b"broken",
        "../5.jpg": jpeg(5),
    }
    path = save_tar(tmp_path / "x.tar", files)
    samples, done, rejections = read("webdataset", path=str(path))
    assert [(s.id, s.caption) for s in samples] == [
        ("a/1", "a dog"),
        ("a/2", "a cat"),
        ("../5", ""),  # nothing is unpacked: a name is only a name
    ]
    assert done.lost["files of other kinds"] == 1
    assert done.lost["fields of others' JSON"] == 1
    reasons = [rejection.reason for rejection in rejections]
    assert reasons == ["no image in the record", "not a picture"]


def test_shards_and_a_torn_archive(tmp_path: Path) -> None:
    write("webdataset", (make_sample(number) for number in range(1002)), tmp_path)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000000.tar", "000001.tar"]
    samples, _, _ = read("webdataset", **settings_of("webdataset", tmp_path))
    assert [s.id for s in samples] == [f"s{number}" for number in range(1002)]
    second = tmp_path / "out/000001.tar"
    second.write_bytes(second.read_bytes()[:1200])
    with pytest.raises(DataError, match="archive cannot be read"):
        read("webdataset", path=str(second))
