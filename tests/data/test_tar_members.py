"""Tar archives that are made to fill memory are answered with their name, in bounded memory."""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.data import tar_members
from diglot.data.formats import webdataset
from diglot.synth.sources.webdataset import WebDatasetSource
from tests.cli_runner import refusal_of
from tests.data.formats.foreign import read
from tests.data.formats.test_webdataset import save_tar
from tests.data.pictures import jpeg

HUGE = 2**36  # bytes that a header claims
HELD = 2**23  # bytes that are there, a few thousand once compressed
ALLOWED = 2**15  # bytes of headers
PICTURE = {"a.jpg": jpeg(1), "a.txt": b"a dog"}


def member_bytes(kind: bytes, size: int, content: bytes = b"") -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def pax_bytes(fields: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    create = tarfile.TarInfo._create_pax_generic_header  # type: ignore[attr-defined]
    return create(fields, kind, "utf-8")


def list_holes() -> bytes:
    """A sparse file of PAX 1.0 whose map has more holes than a file has bytes."""
    info = tarfile.TarInfo("hole.jpg")
    info.size = HELD
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole.jpg"}
    return pax_bytes(fields) + info.tobuf() + b"99999999\n" + b"0\n" * (HELD // 2)


BOMBS: dict[str, Callable[[], bytes]] = {
    "claims a name of 64 GB": lambda: member_bytes(tarfile.GNUTYPE_LONGNAME, HUGE),
    "claims a link of 64 GB": lambda: member_bytes(tarfile.GNUTYPE_LONGLINK, HUGE),
    "claims 64 GB of fields": lambda: member_bytes(tarfile.XHDTYPE, HUGE),
    "claims 64 GB of shared fields": lambda: member_bytes(tarfile.XGLTYPE, HUGE),
    "a name of 8 MB": lambda: member_bytes(tarfile.GNUTYPE_LONGNAME, HELD, b"a" * HELD),
    "a field of 8 MB": lambda: pax_bytes({"comment": "a" * HELD}),
    "many fields": lambda: pax_bytes({f"a{n}": "1" * 9 for n in range(3000)}),
    "shared fields without end": lambda: b"".join(
        pax_bytes({f"{n}.{m}": "1" for m in range(20)}, tarfile.XGLTYPE)
        + tarfile.TarInfo(f"{n}.txt").tobuf()
        for n in range(100)
    ),
    "headers of headers": lambda: pax_bytes({"a": "1"}) * 500,
    "holes": list_holes,
}
COMPRESS = [
    pytest.param(bytes, id="plain"),
    pytest.param(lambda content: gzip.compress(content, 1), id="gzip"),
    pytest.param(lambda content: bz2.compress(content, 1), id="bzip2", marks=pytest.mark.slow),
    # xz with a small dictionary, which is kept whole
    pytest.param(lambda content: lzma.compress(content, preset=0), id="xz", marks=pytest.mark.slow),
]


def measured_peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(params=BOMBS)
def bomb(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive with a whole record and then a bomb."""
    monkeypatch.setattr(tar_members, "MAX_HEADER_BYTES", ALLOWED)
    path, whole = tmp_path / "bomb.tar", io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in PICTURE.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        end = archive.offset
    path.write_bytes(whole.getvalue()[:end] + BOMBS[request.param]())
    return path


@pytest.mark.parametrize("compress", COMPRESS)
def test_a_bomb_is_answered_with_its_name(bomb: Path, compress: Callable[[bytes], bytes]) -> None:
    bomb.write_bytes(compress(bomb.read_bytes()))

    def convert() -> None:
        with pytest.raises(DataError, match=r"bomb.tar, after \w+: archive cannot be read"):
            read("webdataset", path=str(bomb))

    assert measured_peak(convert) < HELD / 2


def test_a_source_answers_a_bomb_with_its_name(bomb: Path) -> None:
    def list_items() -> None:
        with pytest.raises(ConfigError, match=r"bomb.tar: not a tar file"):
            list(WebDatasetSource(bomb.parent).list_items())

    assert measured_peak(list_items) < HELD / 2


@pytest.mark.parametrize("compress", COMPRESS)
def test_a_damaged_compressed_archive_is_answered(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    path = save_tar(tmp_path / "x.tar", {f"{n}.jpg": jpeg(n) for n in range(9)})
    whole = compress(path.read_bytes())
    for at in range(0, len(whole), max(1, len(whole) // 8)):
        for torn in (whole[:at], whole[:at] + bytes([whole[at] ^ 85]) + whole[at + 1 :]):
            path.write_bytes(torn)
            with contextlib.suppress(DataError):
                read("webdataset", path=str(path))


def test_headers_of_headers_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(pax_bytes({"a": "1"}) * 900)
    with pytest.raises(DataError, match=r"x.tar, after : archive cannot be read \(headers of"):
        read("webdataset", path=str(path))


def test_the_command_line_answers_a_bomb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(BOMBS["claims a name of 64 GB"]())
    words = ["convert", path, "--from", "webdataset", "--out", tmp_path / "out"]
    assert "x.tar" in refusal_of(capsys, *words)


def test_a_record_has_so_many_bytes_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a.jpg": jpeg(1), **{f"a.{n}": bytes(1000) for n in range(50)}, "b.jpg": jpeg(2)}
    path = save_tar(tmp_path / "x.tar", files)
    monkeypatch.setattr(webdataset, "_MAX_RECORD_BYTES", 30_000)
    samples, done, _ = read("webdataset", path=str(path))
    assert [sample.id for sample in samples] == ["a", "b"]
    assert 25 < done.lost["files that are none, or too large"] < 50


def test_long_names_and_many_members_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["dir/" * 100 + f"é{n}.txt" for n in range(2000)]
    path = save_tar(tmp_path / "x.tar", dict.fromkeys(names, b""))
    monkeypatch.setattr(tar_members, "MAX_HEADER_BYTES", 20_000)
    with tar_members.stream_tar(path) as archive:
        assert [member.name for member in archive] == names
