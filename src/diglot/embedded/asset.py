"""What is known of one embedded asset: where it comes from, its hash, its licence.

"Embedded" are the small real models and pictures that lie inside packages of the public registries
(PyPI, npm), so that diglot runs on real data where no model hub can be reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Registry = Literal["pypi", "npm"]


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One entry of the catalogue."""

    name: str  # how `diglot fetch` calls it; also the stem of its folder in the cache
    what: str  # one line for `fetch --list`
    use: str  # what diglot does with it
    registry: Registry
    package: str
    version: str
    files: tuple[str, ...]  # glob patterns of the members to take ("*" does not cross a "/")
    sha256: str  # of the one file, or of the listing of many: see archive.digest
    licence: str
    download_bytes: int  # size of the package
    cached_bytes: int  # size of the finished folder
    convert: Callable[[Path, Path], None]  # (folder of the members, empty folder to fill)
    modules: tuple[str, ...] = ()  # optional Python packages that `convert` needs
    revision: int = 1  # raise it when `convert` writes something else, so that caches renew
    pip_options: tuple[str, ...] = ()  # for a package that pip would not pick by itself
    # Of the package file, where PyPI has no wheel of it: pip runs the set-up of a source
    # distribution to read its metadata, so it must know before that this is the pinned one.
    sdist_sha256: str | None = None

    @property
    def source(self) -> str:
        """The pinned package as its own client writes it: "name==1.0" (PyPI), "name@1.0" (npm)."""
        return f"{self.package}{'==' if self.registry == 'pypi' else '@'}{self.version}"

    @property
    def folder_name(self) -> str:
        """Name of the finished folder; another version or conversion is another folder."""
        return f"{self.name}-{self.version}-r{self.revision}"
