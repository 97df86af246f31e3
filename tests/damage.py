"""Damage to files of an output folder, one at a time: what a crash, a disk or a user may do."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from diglot.core.errors import DiglotError

WAYS: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: bytes(len(content)),
    "flipped": lambda content: flip(content, len(content) // 2),
}


def flip(content: bytes, at: int) -> bytes:
    """The same with one bit of byte `at` turned; nothing of an empty one."""
    return content and content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def contents(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file that is not hidden, by its path inside the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    return {
        name: path.read_bytes()
        for path, name in names.items()
        if not name.startswith(".") and not name.startswith(without)
    }


def damage_each(
    whole: Path, copy: Path, ways: tuple[str, ...], *, without: tuple[str, ...] = ()
) -> Iterator[str]:
    """Bring `copy` to a copy of `whole` with one file damaged; yields that file's name."""
    for name, content in contents(whole, without=without).items():
        for way in ways:
            if WAYS[way](content) == content:
                continue
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            (copy / name).write_bytes(WAYS[way](content))
            yield f"{name} {way}"


def check_mended_or_named(
    run: Callable[[], None], damaged: str, check_whole: Callable[[], None], names: set[str]
) -> None:
    """`run` must bring the folder back as it was, or refuse naming one of its files."""
    refusal = ""
    try:
        run()
    except DiglotError as error:
        refusal = str(error)
    if refusal:
        assert any(Path(name).name in refusal for name in names), (damaged, refusal)
        return
    try:
        check_whole()
    except AssertionError as error:
        raise AssertionError(f"silently wrong: {damaged}") from error
