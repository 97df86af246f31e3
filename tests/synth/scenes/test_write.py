import pytest
from tests.synth.scenes.shapes import pools

from diglot.core.errors import ConfigError, DataError
from diglot.data.records import open_dataset
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.write import write_scenes

CONFIG = ScenesConfig(image_px=64, object_px=(16, 24), objects=(1, 3))


class Stops(Exception):
    pass


class Picky(SceneMaker):
    """Every third scene fails."""

    def scene(self, index):
        if index % 3 == 2:
            raise DataError("bad luck", where=self.scene_id(index))
        return super().scene(index)


def stop_at(number):
    def stop(event):
        if event.done == number:
            raise Stops

    return stop


def test_scenes_are_written_and_counted(tmp_path):
    done = []
    maker = SceneMaker(pools(), CONFIG, seed=2)
    rejected = write_scenes(
        maker, tmp_path, 7, shard_samples=3, report=lambda event: done.append(event.done)
    )
    assert done == list(range(8))
    assert not len(rejected)
    dataset = open_dataset(tmp_path)
    assert list(dataset) == [maker.scene(i) for i in range(7)]
    assert dataset.info["seed"] == 2
    assert dataset.info["config"]["image_px"] == 64


@pytest.mark.parametrize("kind", [SceneMaker, Picky])
def test_a_stopped_run_resumes_to_the_same_files(tmp_path, kind):
    maker = kind(pools(), CONFIG)
    with pytest.raises(Stops):
        write_scenes(maker, tmp_path / "cut", 11, shard_samples=4, report=stop_at(6))
    write_scenes(maker, tmp_path / "cut", 11, shard_samples=4)
    write_scenes(maker, tmp_path / "whole", 11, shard_samples=4)
    for name in ("train-00000.parquet", "train-00002.parquet", "dataset.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    if kind is Picky:
        lines = [(tmp_path / n / "rejected-train.jsonl").read_text() for n in ("cut", "whole")]
        assert lines[0] == lines[1]
        assert lines[0].count("\n") == 5


def test_more_scenes_can_be_added_but_none_taken_away(tmp_path):
    maker = SceneMaker(pools(), CONFIG)
    write_scenes(maker, tmp_path, 5)
    write_scenes(maker, tmp_path, 5)
    write_scenes(maker, tmp_path, 8)
    assert len(open_dataset(tmp_path)) == 8
    with pytest.raises(ConfigError, match=r"more scenes.*at most 4; got 8"):
        write_scenes(maker, tmp_path, 4)
    assert len(open_dataset(tmp_path)) == 8


def test_other_settings_are_refused(tmp_path):
    write_scenes(SceneMaker(pools(), CONFIG), tmp_path, 2)
    with pytest.raises(ConfigError, match="other settings: seed"):
        write_scenes(SceneMaker(pools(), CONFIG, seed=1), tmp_path, 2)
    write_scenes(SceneMaker(pools(), CONFIG, seed=1, split="test"), tmp_path, 2)
    assert len(open_dataset(tmp_path, "test")) == 2


def test_settings_that_made_nothing_do_not_bind_the_folder(tmp_path):
    class Hopeless(SceneMaker):
        def scene(self, index):
            raise DataError("no luck", where=self.scene_id(index))

    with pytest.raises(ConfigError):
        write_scenes(Hopeless(pools(), CONFIG, seed=1), tmp_path, 2)
    assert len((tmp_path / "rejected-train.jsonl").read_text().splitlines()) > 1
    rejected = write_scenes(Picky(pools(), CONFIG, seed=2), tmp_path, 3)
    assert len(rejected) == len((tmp_path / "rejected-train.jsonl").read_text().splitlines()) == 1


def test_hopeless_settings_stop(tmp_path):
    config = ScenesConfig(image_px=32, object_px=(30, 32), objects=(2, 2), max_overlap=0.0)
    with pytest.raises(
        ConfigError, match=r"could not be made; the last: no room.*fewer or smaller"
    ):
        write_scenes(SceneMaker(pools(1.0), config), tmp_path, 5)


def test_a_count_of_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        write_scenes(SceneMaker(pools(), CONFIG), tmp_path, 0)
