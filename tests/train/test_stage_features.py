"""Training on cached features."""

import logging
import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

from diglot.core.errors import ConfigError
from diglot.data.config import FeaturesConfig
from diglot.data.features import FeatureCache
from diglot.models.trainable import Trainable
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, losses, weights


def cached(tmp_path, dtype="float32"):
    return FeaturesConfig(folder=str(tmp_path / "cache"), dtype=dtype)


def test_float32_features_change_no_figure(world, tmp_path):
    train(tiny_stage(world, tmp_path / "plain"))
    train(tiny_stage(world, tmp_path / "cached", features=cached(tmp_path)))
    assert figures(tmp_path / "cached") == figures(tmp_path / "plain")
    plain = weights(tmp_path / "plain")
    assert all((plain[n] == w).all() for n, w in weights(tmp_path / "cached").items())


def test_float16_features_are_near(world, tmp_path):
    train(tiny_stage(world, tmp_path / "plain"))
    train(tiny_stage(world, tmp_path / "cached", features=cached(tmp_path, "float16")))
    near = losses(tmp_path / "plain")
    assert losses(tmp_path / "cached") == pytest.approx(near, rel=1e-2)
    assert losses(tmp_path / "cached") != near


def test_the_size_is_reported_before_the_features_are_made(world, tmp_path, caplog):
    events = []

    def report(progress):
        if progress.stage == "features":
            assert "features of 20 images, 20 of them to make: 0.000 GB" in caplog.text
            events.append((progress.done, progress.total))

    with caplog.at_level(logging.INFO, logger="diglot"):
        train(tiny_stage(world, tmp_path / "run", features=cached(tmp_path)), report=report)
    assert events == [(8, 20), (16, 20), (20, 20)]


def test_what_no_record_can_work_with_stops_before_the_features_are_made(
    world, tmp_path, monkeypatch
):
    monkeypatch.setattr(FeatureCache, "_encode_missing", lambda *args: pytest.fail("encoded"))
    stage = tiny_stage(world, tmp_path / "run", features=cached(tmp_path), objective="caption")
    with pytest.raises(ConfigError, match="labels of patches, and none are given"):
        train(replace(stage, plus={"token_contrastive": {"weight": 1.0}}))


def test_runs_share_a_cache(world, tmp_path, monkeypatch):
    train(tiny_stage(world, tmp_path / "a", features=cached(tmp_path)))
    monkeypatch.setattr(FeatureCache, "_encode_missing", lambda *args: pytest.fail("encoded again"))
    train(tiny_stage(world, tmp_path / "b", features=cached(tmp_path)))
    assert figures(tmp_path / "a") == figures(tmp_path / "b")


def test_no_room_stops_before_step_0(world, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 100))
    with pytest.raises(ConfigError, match="does not fit on the disk"):
        train(tiny_stage(world, tmp_path / "run", features=cached(tmp_path)))
    assert not list((tmp_path / "cache").iterdir())
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_features_want_a_frozen_encoder(world, tmp_path):
    with pytest.raises(ConfigError, match="frozen encoder"):
        tiny_stage(world, tmp_path, features=cached(tmp_path), trainable=Trainable(encoder=True))


def test_only_the_samples_of_the_run_are_encoded(world, tmp_path):
    events = []
    stage = tiny_stage(world, tmp_path / "a", features=cached(tmp_path), max_samples=3)
    train(stage, report=lambda p: events.append((p.stage, p.done, p.total)))
    assert events[0] == ("features", 3, 3)
    train(tiny_stage(world, tmp_path / "b", max_samples=3))
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    whole = tiny_stage(world, tmp_path / "c", features=cached(tmp_path))
    train(whole, report=lambda p: events.append((p.stage, p.done, p.total)))
    assert ("features", 20, 20) in events
