"""Paths of the command line that are checked when they are read, before any work is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from jsonargparse.typing import register_type

from diglot.core.errors import ConfigError
from diglot.files import (
    check_readable_folder,
    check_writable_file,
    check_writable_folder,
    explain_missing,
    is_made,
    name_output,
)

# Files of models, datasets, labels, pairs, runs and comparisons, which no other output replaces.
PARTS = {
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "model.safetensors.index.json", "adapter_config.json", "diglot_export.json"),
    *("vlm.json", "lora.json", "environment.json", "finished.json", "metrics.jsonl"),
    *("dataset.json", "labels.json", "calibration.json", "pairs.json", "pairs.jsonl"),
    *("benchmark.json", "items.jsonl", "a_score.json", "c_score.json", "demo.json", "study.json"),
}

_OVERWRITES = ContextVar("overwrites", default=False)  # of --overwrite

MAKE_DATA = "Make one: diglot scenes, synth or convert."
GIVE_CHECKPOINT = (
    "Give the folder of a run of `diglot train`, the model folder in it, or a stock "
    "vision-language checkpoint."
)

if TYPE_CHECKING:
    OutFile: TypeAlias = Path
    AddedFile: TypeAlias = Path
    OutJson: TypeAlias = Path
    OutPage: TypeAlias = Path
    OutFigure: TypeAlias = Path
    OutPng: TypeAlias = Path
    OutFolder: TypeAlias = Path
    InPath: TypeAlias = Path
    InFolder: TypeAlias = Path
    InData: TypeAlias = Path
    InCheckpoint: TypeAlias = Path
else:

    class InPath(type(Path())):
        """A file or folder that a verb reads: that it is there is known at the start."""

    class InFolder(type(Path())):
        """A folder that a verb reads."""

        what: ClassVar = "folder"
        fix: ClassVar = None

    class InData(InFolder):
        """A dataset."""

        what: ClassVar = "dataset folder"
        fix: ClassVar = MAKE_DATA

    class InCheckpoint(InFolder):
        """A checkpoint of ours, a run's folder, or a stock one's."""

        what: ClassVar = "checkpoint"
        fix: ClassVar = GIVE_CHECKPOINT

    class OutFile(type(Path())):
        """A file that a verb writes in the end: that it can be written is known at the start."""

        kinds: ClassVar = frozenset(
            {".json", ".jsonl", ".html", ".csv", ".tsv", ".txt", ".png", ".svg", ".pdf", ""}
        )
        """Suffixes of files that may be replaced; a new file may have any, but for `only`."""
        only: ClassVar = None
        """What is wrong with another suffix, and what is expected."""
        replaced: ClassVar = True
        """False where the verb adds to a file of the user's."""

    class AddedFile(OutFile):
        """A table that a verb adds to."""

        replaced: ClassVar = False

    class OutJson(OutFile):
        """The same for JSON."""

        kinds: ClassVar = frozenset({".json", ""})

    class OutPage(OutFile):
        """The same for a page."""

        kinds: ClassVar = frozenset({".html", ".htm", ""})
        only: ClassVar = "a page is HTML", "a name that ends in .html"

    class OutFigure(OutFile):
        """The same for a figure, whose format is that of its name."""

        kinds: ClassVar = frozenset({".png", ".svg", ".pdf"})
        only: ClassVar = "unknown figure format", ".png, .svg or .pdf"

    class OutPng(OutFile):
        """The same for a picture that is PNG alone."""

        kinds: ClassVar = frozenset({".png"})
        only: ClassVar = "the picture is PNG", "a name that ends in .png"

    class OutFolder(type(Path())):
        """A folder that a verb writes: that it can be made is known at the start."""


def _read_out_file(text: str | Path, kind: Any) -> Path:
    path = kind(Path(text).expanduser())
    check_writable_file(path)
    _check_own_file(path, kind)
    name_output(path)
    if kind.only and path.suffix.lower() not in kind.kinds:
        wrong, expected = kind.only
        raise ConfigError(wrong, expected=expected, got=path.suffix or path.name, where=str(path))
    return path


def read_page_path(path: Path) -> Path:
    """A page's path that nobody named, checked as one that was: its folder may be the user's."""
    return _read_out_file(path, OutPage)


def _read_out_folder(text: str | Path) -> Path:
    path = OutFolder(Path(text).expanduser())
    path = path if path.name else OutFolder(path.absolute())  # ".": files beside it take its name
    check_writable_folder(path)
    return path


def _check_own_file(path: Path, kind: Any) -> None:
    """Raises ConfigError for a file that is there and is no earlier output of this kind."""
    if not path.is_file() or not path.stat().st_size:
        return
    if path.name in PARTS or path.suffix.lower() not in kind.kinds:
        raise ConfigError(
            "the file is there and is not of this command",
            expected="a new file, or an earlier one of " + ", ".join(sorted(kind.kinds - {""})),
            where=str(path),
            fix="Choose another name.",
        )
    if kind.replaced and not _OVERWRITES.get() and not is_made(path):
        raise ConfigError(
            "the file is there and is not of this command, as far as is known",
            expected="a new file, or one that a command of diglot wrote here",
            where=str(path),
            fix="Choose another name, or add --overwrite.",
        )


@contextmanager
def overwriting(allowed: bool) -> Iterator[None]:
    """Whether output files of others may be replaced by what is read inside the block."""
    before = _OVERWRITES.set(allowed)
    try:
        yield
    finally:
        _OVERWRITES.reset(before)


def _read_in_path(text: str | Path, kind: Any) -> Path:
    path = kind(Path(text).expanduser())
    if not path.exists():
        raise ConfigError(f"no such file or folder: {explain_missing(path)}", where=str(path))
    return path


def _read_in_folder(text: str | Path, kind: Any) -> Path:
    path = kind(Path(text).expanduser())
    check_readable_folder(path, kind.what, fix=kind.fix)
    return path


register_type(InPath, deserializer=partial(_read_in_path, kind=InPath))
for _kind in (InFolder, InData, InCheckpoint):
    register_type(_kind, deserializer=partial(_read_in_folder, kind=_kind))
register_type(OutFolder, deserializer=_read_out_folder)
for _kind in (OutFile, AddedFile, OutJson, OutPage, OutFigure, OutPng):
    register_type(_kind, deserializer=partial(_read_out_file, kind=_kind))
