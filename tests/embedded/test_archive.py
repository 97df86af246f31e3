import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.errors import ConfigError
from diglot.embedded import archive


def wheel_of(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "p-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path


def tarball_of(folder: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    path = folder / "p-1.0.tgz"
    with tarfile.open(path, "w:gz") as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            out.addfile(info)
    return path


def test_takes_the_named_members_of_a_wheel_alone(tmp_path: Path) -> None:
    package = wheel_of(tmp_path, {"a/x.png": b"1", "a/b/y.png": b"2", "a/setup.py": b"3"})
    found = archive.extract_members(package, ("a/*.png",), tmp_path / "out")
    assert found == [tmp_path / "out/a/x.png"]  # "*" crosses no folder
    assert found[0].read_bytes() == b"1"
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == found


def test_strips_the_npm_folder(tmp_path: Path) -> None:
    package = tarball_of(tmp_path, {"package/icons/x.svg": b"<svg/>", "package/index.js": b""})
    found = archive.extract_members(package, ("icons/*.svg",), tmp_path / "out")
    assert found == [tmp_path / "out/icons/x.svg"]


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/evil.png", "c:/evil.png"])
def test_a_member_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    pattern = "/".join("*" for _ in name.split("/"))
    for package in (wheel_of(tmp_path, {name: b"!"}), tarball_of(tmp_path, {name: b"!"})):
        with pytest.raises(ConfigError, match="leaves its folder"):
            archive.extract_members(package, (pattern,), tmp_path / "inner/out")
    assert not list(tmp_path.rglob("evil.png"))


def test_links_are_not_followed(tmp_path: Path) -> None:
    package = tarball_of(tmp_path, {"package/a.png": b"1"}, link="package/b.png")
    assert [p.name for p in archive.extract_members(package, ("*.png",), tmp_path / "out")] == [
        "a.png"
    ]


def test_names_the_absent_file(tmp_path: Path) -> None:
    package = wheel_of(tmp_path, {"a.txt": b""})
    with pytest.raises(ConfigError, match=r"b\.txt"):
        archive.extract_members(package, ("a.txt", "b.txt"), tmp_path / "out")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
def test_a_cut_package_is_named(tmp_path: Path, kept: float) -> None:
    noise = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(200))
    for package in (
        wheel_of(tmp_path, {"a.bin": noise}),
        tarball_of(tmp_path, {"package/a.bin": noise}),
    ):
        whole = package.read_bytes()
        package.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(ConfigError, match="damaged or cut"):
            archive.extract_members(package, ("a.bin",), tmp_path / "out")


def test_a_giant_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 10)
    package = wheel_of(tmp_path, {"a.bin": b"x" * 11})
    with pytest.raises(ConfigError, match="too large"):
        archive.extract_members(package, ("a.bin",), tmp_path / "out")


def test_digest_of_one_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert archive.digest_files([tmp_path / "a"], tmp_path) == hashlib.sha256(b"abc").hexdigest()


@given(
    contents=st.dictionaries(
        st.text("abcxyz", min_size=1, max_size=4), st.binary(max_size=20), min_size=2, max_size=5
    ),
    data=st.data(),
)
def test_digest_of_many_is_that_of_the_sorted_listing(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("digest")
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = data.draw(st.permutations([folder / n for n in contents]))
    lines = [f"{hashlib.sha256(contents[n]).hexdigest()}  {n}\n" for n in sorted(contents)]
    assert (
        archive.digest_files(files, folder) == hashlib.sha256("".join(lines).encode()).hexdigest()
    )
    changed = files[0]
    changed.write_bytes(changed.read_bytes() + b"!")
    assert (
        archive.digest_files(files, folder) != hashlib.sha256("".join(lines).encode()).hexdigest()
    )
