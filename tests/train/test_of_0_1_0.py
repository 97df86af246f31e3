"""What diglot 0.1.0 wrote opens today: a dataset, a checkpoint, and a run that is resumed."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.collate import collate_batch
from diglot.data.records import open_dataset
from diglot.models.checkpoint import load_vlm
from diglot.train.config import StageConfig, stage_config
from diglot.train.datasets import RunDataset, TrainingData
from diglot.train.loop import train
from diglot.train.mixture import build_mixture
from diglot.train.samples import PreparedSamples
from tests.tiny import tiny_sample
from tests.train.outcome import figures, weights

WRITTEN = Path(__file__).parent / "of_0_1_0"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in which the settings' paths hold."""
    shutil.copytree(WRITTEN, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def settings(run: str) -> dict[str, Any]:
    return json.loads(Path(run, "config.json").read_text("utf-8"))


def stage(run: str, **changes: Any) -> StageConfig:
    """The stage that the run's own settings describe."""
    own = settings(run)
    del own["data_fingerprint"]
    return stage_config(own | changes)


def test_the_dataset_has_its_records_and_its_fingerprint() -> None:
    dataset = open_dataset(Path("data"))
    expected = [tiny_sample(i, objects=2, size_hw=(16, 16)) for i in range(4)]

    def without_image(sample: Sample) -> tuple[Any, ...]:
        return sample.id, sample.caption, sample.regions, sample.sizes_hw

    assert [without_image(s) for s in dataset] == [without_image(s) for s in expected]
    assert dataset.fingerprint == settings("run")["data_fingerprint"]


def test_the_checkpoint_computes_what_it_did() -> None:
    vlm, mixture = load_vlm(Path("done/model")), build_mixture(stage("done").objective, {}, {})
    data = TrainingData([RunDataset(open_dataset(Path("data")))])
    item: Any = PreparedSamples(data, vlm.processor, mixture, 0)[0, 0, 0]
    with torch.no_grad():
        out = vlm(collate_batch([item], row_tokens=256), mixture.reads)
    expected = torch.tensor(json.loads(Path("forward.json").read_text())["log_probs"])
    torch.testing.assert_close(out.log_prob_S, expected, rtol=0, atol=2e-5)


def test_a_finished_run_is_known_as_one(folder: Path) -> None:
    before = {p: p.read_bytes() for p in (folder / "done" / "model").iterdir()}
    assert train(stage("done")) == Path("done/model")
    assert {p: p.read_bytes() for p in before} == before


def test_a_stopped_run_ends_as_it_would_have(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="diglot"):
        train(stage("run"))
    assert "run was begun by diglot 0.1.0 and is resumed by" in caplog.text
    for ours, theirs in zip(figures(Path("run")), figures(Path("done")), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    ours, theirs = weights(Path("run")), weights(Path("done"))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=1e-5)


def test_other_settings_are_refused_by_their_name() -> None:
    with pytest.raises(ConfigError, match=r"^run/config.json: this folder holds a run with anoth"):
        train(stage("run", max_steps=1))


def test_settings_that_can_be_read_no_longer_are_refused_in_one_line(folder: Path) -> None:
    path = folder / "run" / "config.json"
    path.write_text(json.dumps(settings("run") | {"gone": 1}))
    with pytest.raises(ConfigError, match=r"can be read no longer: .*gone.* Resume it with the v"):
        train(stage("done", out="run"))
