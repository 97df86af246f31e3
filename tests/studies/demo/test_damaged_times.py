"""demo.json keeps the times of earlier attempts: one that is damaged costs them alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError
from diglot.core.progress import ignore_progress
from diglot.studies.demo.flow import Demo
from diglot.studies.demo.sizes import SIZES
from tests.damage import WAYS


def begin(out: Path, seed: int = 0) -> Demo:
    return Demo(out, "tiny", SIZES["tiny"], seed, [], [], ignore_progress)


@pytest.mark.parametrize("way", list(WAYS))
def test_a_damaged_record_of_times_costs_the_times(tmp_path: Path, way: str, caplog) -> None:
    with begin(tmp_path).timed("scenes"):
        pass
    path = tmp_path / "demo.json"
    again = begin(tmp_path)
    again.take_up()
    assert set(again.seconds) == {"scenes"}
    with pytest.raises(ConfigError, match="of another size or seed"):
        replace(again, seed=1).take_up()
    path.write_bytes(WAYS[way](path.read_bytes()))
    last = begin(tmp_path)
    last.take_up()
    assert not last.seconds
    assert "demo.json is damaged" in caplog.text
