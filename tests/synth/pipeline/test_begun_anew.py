"""A synthesis that made nothing leaves its folder free; one whose samples wait binds it."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.synth.pipeline import toy_annotators as toy

from diglot.core.errors import ConfigError
from diglot.data.rejected import read_rejections, rejected_name
from diglot.synth.config import SynthConfig
from diglot.synth.run import SETTINGS, run_synthesis
from diglot.synth.slice_files import STATE
from diglot.synth.source import open_source

HOPELESS = {**toy.QUICK_STEPS, "enough": {"step": "filters", "min_regions": 99}}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    toy.write_pictures(tmp_path / "pictures", 6)
    return tmp_path / "pictures"


def run(images: Path, out: Path, *, steps: dict = toy.QUICK_STEPS, **settings: Any) -> dict:
    config = SynthConfig(steps=steps, slice_images=2, shard_samples=4)
    return run_synthesis(open_source(images), out, config, **settings)


def test_steps_that_kept_nothing_do_not_bind_the_folder(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no image came through all steps"):
        run(pictures, tmp_path / "out", steps=HOPELESS)
    assert len([*read_rejections(tmp_path / "out" / rejected_name("train"))]) == 6
    run(pictures, tmp_path / "out")
    run(pictures, tmp_path / "plain")
    assert toy.digest_output(tmp_path / "out") == toy.digest_output(tmp_path / "plain")
    assert not (tmp_path / "out" / rejected_name("train")).exists()


@pytest.mark.parametrize("settings", [None, b"cut"])
def test_a_state_whose_settings_are_gone_is_known_by_the_dataset(
    pictures: Path, tmp_path: Path, settings: bytes | None
) -> None:
    with pytest.raises(ConfigError, match="no image came through all steps"):
        run(pictures, tmp_path / "out", steps=HOPELESS)
    kept = tmp_path / "out" / STATE / "train" / SETTINGS
    kept.unlink() if settings is None else kept.write_bytes(settings)
    assert run(pictures, tmp_path / "out")["samples"] == 6


def test_a_split_is_not_called_as_a_folder_of_all(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a split cannot be called so here"):
        run_synthesis(
            open_source(pictures),
            tmp_path / "out",
            SynthConfig(steps=toy.QUICK_STEPS),
            split="cache",
        )


def test_a_tar_that_was_empty_is_looked_at_again(pictures: Path, tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    tars.mkdir()
    tarfile.open(tars / "all.tar", "w").close()
    for _ in range(2):
        with pytest.raises(ConfigError, match="no images found"):
            run(tars, tmp_path / "out")
    with tarfile.open(tars / "all.tar", "w") as archive:
        for path in sorted(pictures.iterdir()):
            archive.add(path, arcname=path.name)
    assert run(tars, tmp_path / "out")["samples"] == 6


def test_samples_that_wait_for_their_shard_bind_the_folder(pictures: Path, tmp_path: Path) -> None:
    def stop(progress) -> None:
        if progress.done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "out", report=stop)
    (tmp_path / "out" / STATE / "train" / SETTINGS).unlink()  # as an earlier version left it
    for _ in range(2):
        with pytest.raises(ConfigError, match="unfinished synthesis there was made with other"):
            run(pictures, tmp_path / "out", steps=HOPELESS)
    assert run(pictures, tmp_path / "out")["samples"] == 6
