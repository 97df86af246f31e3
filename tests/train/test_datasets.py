"""Runs on several datasets: proportions, routes, the same figures after a kill and on processes."""

import json
import logging
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from diglot.cli.train_run import _make_run_probe
from diglot.config.parts import as_plain
from diglot.core.errors import ConfigError, DataError
from diglot.core.run_files import read_metrics
from diglot.core.types import Sample
from diglot.data.config import DataSource, FeaturesConfig
from diglot.data.records import open_dataset, write_dataset
from diglot.train.config import StageConfig, stage_config
from diglot.train.datasets import RunDataset, TrainingData, open_data
from diglot.train.lanes import make_lanes
from diglot.train.loop import train
from diglot.train.mixture import build_mixture
from diglot.train.order import Key, Order
from tests.cli_runner import run_diglot
from tests.models.test_chat_template import CHATML, chat
from tests.tiny import tiny_sample
from tests.tiny_folders import tiny_samples, tiny_stage
from tests.train.outcome import figures, rejected, rows, weights, write_rows
from tests.train.test_processes import assert_near, train_by_two

ALL = ("caption", "conversation")


def talk(number: int) -> Sample:
    """A conversation about one image; every third about none."""
    images = int(number % 3 > 0)
    picture = tiny_sample(number, size_hw=(32, 32)).image
    return Sample(
        id=f"talk/{number}",
        images=(picture,) * images,
        sizes_hw=((32, 32),) * images,
        turns=chat("<image>" * images + "Well?", "A dog and a frog."),
    )


@pytest.fixture(scope="module")
def mixed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a run on 12 captioned images, once, and 6 conversations, one and a half times."""
    folder = tmp_path_factory.mktemp("mixed")
    write_dataset([talk(i) for i in range(6)], folder / "talk")
    write_dataset(tiny_samples(12, seed=50), folder / "captions")
    (folder / "chat.jinja").write_text(CHATML)
    return {
        "data": [
            {"path": str(folder / "captions")},
            {"path": str(folder / "talk"), "weight": 1.5},
        ],
        "objective": "caption",
        "mix": {"instruct": {"template": str(folder / "chat.jinja")}},
        "epochs": 2,
        "checkpoint_every": 1,
    }


def data_of(*weighted: tuple[int, float], folder: Path) -> TrainingData:
    """Datasets of so many samples each, with a weight."""
    sources = []
    for number, (samples, weight) in enumerate(weighted):
        write_dataset(tiny_samples(samples), folder / str(number))
        sources.append(
            RunDataset(open_dataset(folder / str(number)), weight=weight, name=str(number))
        )
    return TrainingData(sources)


def keys_of(order: Order) -> list[Key]:
    return [key for step in range(order.steps) for key in order.step(step)]


@given(
    weights=st.lists(st.sampled_from([0.3, 0.5, 1.0, 1.7, 2.0]), min_size=1, max_size=3),
    epochs=st.integers(1, 4),
    batch=st.integers(1, 9),
)
def test_every_batch_holds_the_datasets_in_their_proportions(weights, epochs, batch):
    sizes = (10, 7, 4)[: len(weights)]
    data: Any = Pretended(sizes, weights)
    order = Order(make_lanes(data, (), (ALL,)), batch, epochs, seed=1)
    per_epoch = [round(weight * size) for weight, size in zip(weights, sizes, strict=True)]
    assert order.documents == sum(per_epoch)
    keys = keys_of(order)
    assert len(set(keys)) == len(keys)  # a record that comes again is drawn anew
    came = Counter(index for _, _, index in keys)
    for number, count in enumerate(per_epoch):
        own = [came[index] for index in data.indices(number)]
        assert sum(own) == count * epochs
        assert max(own) - min(own) <= 1  # whole passes
    for step in range(order.steps):
        drawn = order.step(step)
        for number, count in enumerate(per_epoch):
            own = sum(index in data.indices(number) for _, _, index in drawn)
            assert abs(own - len(drawn) * count / order.documents) <= 1.5 + 0.5 * len(weights)


class Pretended:
    """The sizes and weights of datasets, without records."""

    def __init__(self, sizes: tuple[int, ...], weights: list[float]) -> None:
        pairs = zip(sizes, weights, strict=True)
        self.sources = [SimpleNamespace(records=s, weight=w, name="x") for s, w in pairs]
        self.starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.sizes = sizes

    def __len__(self) -> int:
        return sum(self.sizes)

    def indices(self, number: int) -> range:
        return range(self.starts[number], self.starts[number] + self.sizes[number])


def test_records_of_all_datasets_are_numbered_through(tmp_path):
    data = data_of((3, 1.0), (2, 1.0), folder=tmp_path)
    assert len(data) == 5
    assert [data.locate(i) for i in range(5)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert [data[i].id for i in range(5)] == [data.id_of(i) for i in range(5)]
    assert data[3] == data.sources[1].dataset[0]
    first, second = (s.fingerprint for s in data.sources)
    assert data.fingerprint == f"{first} and {second}"


def test_a_record_goes_to_the_objectives_that_take_its_kind(mixed, tmp_path):
    out = tmp_path / "run"
    config = tiny_stage_of(mixed, out)
    data = open_data(config.sources)
    mixture = build_mixture(config.objective, config.plus, config.mix)
    assert mixture.takes == ({"caption"}, {"conversation"})
    lanes = make_lanes(data, mixture.shares, mixture.takes)
    assert [(lane.source, lane.stream, len(lane.index_N)) for lane in lanes] == [
        (0, 0, 12),
        (1, 1, 6),
    ]


def test_what_no_objective_takes_is_rejected_with_its_reason(world, mixed, tmp_path):
    captions = mixed["data"][0]["path"]
    write_dataset([*open_dataset(Path(captions)), talk(9)], tmp_path / "both")
    settings = {"data": str(tmp_path / "both"), "mix": {"reconstruction": {"with_text": True}}}
    train(tiny_stage(world, tmp_path / "run", **{"objective": "caption", **settings}))
    (line,) = rejected(tmp_path / "run")
    assert line["id"] == "talk/9"
    assert "takes captioned images, not conversations" in line["reason"]
    with pytest.raises(ConfigError, match=r"^mix: an objective would get no record"):
        train(tiny_stage(world, tmp_path / "a", **mixed | {"data": captions}))
    with pytest.raises(DataError, match=r"talk, train: none of the first 6 records can be used"):
        train(tiny_stage(world, tmp_path / "b", **mixed | {"mix": {}}))


def tiny_stage_of(mixed: dict[str, Any], out: Path) -> StageConfig:
    return StageConfig(**mixed, out=str(out))


@pytest.fixture(scope="module")
def unbroken(world: Path, mixed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_stage(world, tmp_path_factory.mktemp("whole") / "run", **mixed)).parent


def test_both_kinds_are_learned_in_one_run(unbroken):
    lines = read_metrics(unbroken / "metrics.jsonl")
    assert len(lines) == 2 * -(-(12 + 9) // 4)
    full = [line for number, line in enumerate(lines) if number % 6 < 5]  # the last has 1 document
    assert all(line["items/text"] > 0 and line["items/instruct.text"] > 0 for line in full)


def test_a_run_that_was_stopped_ends_as_an_unbroken_one(world, mixed, unbroken, tmp_path):
    class Stop(Exception):
        pass

    def stop(progress) -> None:
        if progress.stage == "train" and progress.done >= 14:
            raise Stop

    with pytest.raises(Stop):
        train(tiny_stage(world, tmp_path / "run", **mixed), report=stop)
    assert not (tmp_path / "run" / "model").exists()
    train(tiny_stage(world, tmp_path / "run", **mixed, workers=2))
    assert figures(tmp_path / "run") == figures(unbroken)
    ours, theirs = weights(tmp_path / "run"), weights(unbroken)
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_two_processes_train_as_one(world, mixed, unbroken, tmp_path):
    steps, error = train_by_two(tiny_stage(world, tmp_path / "two", **mixed))[0]
    assert (steps, error) == (12, "")
    assert_near(tmp_path / "two", unbroken)


def test_features_are_kept_for_each_dataset(world, mixed, unbroken, tmp_path):
    features = FeaturesConfig(folder=str(tmp_path / "cache"), dtype="float32")
    train(tiny_stage(world, tmp_path / "run", **mixed, features=features))
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2
    for ours, theirs in zip(figures(tmp_path / "run"), figures(unbroken), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_other_data_or_another_weight_is_another_run(world, mixed, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "run")
    heavier = [mixed["data"][0], mixed["data"][1] | {"weight": 2.0}]
    with pytest.raises(ConfigError, match="a run with another data"):
        train(tiny_stage(world, tmp_path / "run", **mixed | {"data": heavier}))
    write_dataset([talk(i) for i in range(7)], tmp_path / "talk")
    other = [mixed["data"][0], mixed["data"][1] | {"path": str(tmp_path / "talk")}]
    with pytest.raises(ConfigError, match="a run with another data"):
        train(tiny_stage(world, tmp_path / "run", **mixed | {"data": other}))


def test_rejected_records_are_counted_for_each_dataset(world, mixed, tmp_path, caplog):
    """Also where two datasets use the same id."""
    bad = [{**row, "images": [{"bytes": b"x"}]} for row in rows(2)]
    a = write_rows(tmp_path / "a", [*rows(4, seed=9), *bad])
    b = write_rows(tmp_path / "b", [*rows(3, seed=20), bad[0]])
    data = [{"path": str(a)}, {"path": str(b), "weight": 2}]
    with caplog.at_level(logging.INFO, logger="diglot"):
        train(tiny_stage(world, tmp_path / "run", data=data))
    lines = rejected(tmp_path / "run")
    assert Counter(line["dataset"] for line in lines) == {f"{a}, train": 2, f"{b}, train": 1}
    messages = [record.getMessage() for record in caplog.records]
    assert f"{a}, train: 6 records, 2 of them rejected" in messages
    assert f"{b}, train: 4 records, 1 of them rejected" in messages


def test_dry_run_shows_what_each_dataset_gives(world, mixed, tmp_path, capsys):
    recipe = tmp_path / "recipe.json"
    part = {"path": str(world / "clip"), "name": "clip"}
    language = {"path": str(world / "language")}
    model = {"encoder": part, "language": language, "projector": {"name": "mlp", "hidden": 24}}
    recipe.write_text(json.dumps({**mixed, "model": model}))
    out = tmp_path / "summary.json"
    args = ["train", "--config", str(recipe), "--out", str(tmp_path / "run"), "--dry_run"]
    assert run_diglot(*args, f"--json={out}") == 0, capsys.readouterr().err
    summary = json.loads(out.read_text())
    captions, talks = summary["datasets"].values()
    assert (captions["records"], captions["documents an epoch"], captions["usable"]) == (12, 12, 12)
    assert (talks["records"], talks["documents an epoch"], talks["usable"]) == (6, 9, 6)
    assert (summary["records"], summary["usable"], summary["rejected"]) == (18, 18, {})


def test_probes_of_several_datasets_are_named_as_of_the_first(mixed, tmp_path, caplog):
    config = stage_config({**mixed, "out": str(tmp_path / "run"), "probe_every": 1})
    first = config.sources[0].path
    with caplog.at_level(logging.INFO):
        assert _make_run_probe(replace(config, probe_split="train", probe_samples=1))
    assert f"probes are taken from {first} alone, the first of 2 datasets" in caplog.messages


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        ([], {}, "data: no dataset"),
        ([{"path": "a"}, {"path": "a", "weight": 2}], {}, "data: a dataset is given twice"),
        ([{"path": "a"}], {"labels": "l"}, "which of the datasets are these labels of"),
        ([{"path": "a", "weight": 0}], {}, "weight"),
        (["a", "a"], {}, "data: a dataset is given twice"),
        ([{"path": "a", "wieght": 2}], {}, "wieght"),
        ([{"weight": 2}], {}, "path"),
    ],
)
def test_settings_of_data_that_cannot_work(data, changes, message):
    with pytest.raises(ConfigError, match=message):
        stage_config({"data": data, "out": "o", **changes})


def test_data_on_the_command_line_is_a_folder_or_a_list(capsys):
    for word, expected in (
        ("a/b", "a/b"),
        ("[{path: a, weight: 2}, {path: b}]", [("a", 2.0), ("b", 1.0)]),
    ):
        assert run_diglot("train", "--data", word, "--out", "o", "--print_config") == 0
        shown = yaml.safe_load(capsys.readouterr().out)["data"]
        found = shown if isinstance(shown, str) else [(d["path"], d["weight"]) for d in shown]
        assert found == expected


def test_folders_in_a_list_are_datasets() -> None:
    config = stage_config({"data": ["a", {"path": "b", "weight": 2}], "out": "o"})
    assert [(s.path, s.weight, s.split) for s in config.sources] == [
        ("a", 1.0, "train"),
        ("b", 2.0, "train"),
    ]
    assert config.data == stage_config({**as_plain(config), "out": "o"}).data


def test_a_stage_names_its_datasets():
    (one,) = StageConfig(data="a", out="o", split="test", labels="l").sources
    assert (one.path, one.split, one.labels, one.weight) == ("a", "test", "l", 1.0)
    data = [DataSource(path="a"), DataSource(path="b", split="val")]
    a, b = StageConfig(data=data, out="o", split="test").sources
    assert (a.split, b.split) == ("test", "val")
