from pathlib import Path
from typing import Any

import pytest

from diglot.core.progress import ignore_progress
from diglot.studies.compare.job import run_job
from diglot.studies.compare.study import open_study
from tests.studies.compare.small_study import found, small_study, write_recipe
from tests.tiny_folders import save_world


@pytest.fixture(scope="session")
def compare_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = save_world(tmp_path_factory.mktemp("world"))
    write_recipe(world)
    return world


@pytest.fixture(scope="session")
def one_by_one(compare_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every job of the small study in this process, one after the other: study and results."""
    study = open_study(small_study(compare_world, tmp_path_factory.mktemp("one") / "study"))
    study.out.mkdir()
    for job in study.jobs:
        run_job(job, ignore_progress)
    results = study.write()
    assert len(found(results)) == 8
    return study, results
