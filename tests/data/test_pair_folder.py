"""A folder of pairs belongs to the settings that made the first of them."""

from pathlib import Path

import pytest

from diglot.core.errors import ConfigError, DataError
from diglot.data.pair_folder import IMAGES, MANIFEST, PairWriter, read_info
from diglot.data.rejected import REJECTED, Rejected


def test_settings_that_made_nothing_do_not_bind_the_folder(tmp_path: Path) -> None:
    with PairWriter(tmp_path, info={"seed": 1}):
        Rejected(tmp_path / REJECTED).add("pair-0", "no luck")
    with PairWriter(tmp_path, info={"seed": 2}):
        assert (tmp_path / REJECTED).exists()
    with PairWriter(tmp_path, info={"seed": 2}) as writer:
        assert not writer.open_rejected().counts
    assert not (tmp_path / REJECTED).exists()
    assert read_info(tmp_path) == {"seed": 2}
    (tmp_path / IMAGES / "pair-0-source.png").write_bytes(b"of a pair")
    with pytest.raises(ConfigError, match="other settings: seed"), PairWriter(tmp_path, info={}):
        pass


def test_a_manifest_of_others_stays(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"my": "data"}')
    with (
        pytest.raises(DataError, match="not a description of pairs"),
        PairWriter(tmp_path, info={}),
    ):
        pass
    assert (tmp_path / MANIFEST).read_text() == '{"my": "data"}'
