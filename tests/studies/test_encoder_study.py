"""The study of encoders from scenes to fits, small: every column is there, and it resumes."""

import csv
import json
from pathlib import Path

import pytest

from diglot.core.errors import ConfigError
from diglot.core.progress import ignore_progress
from diglot.studies.compare.chain_config import EvaluationConfig, FineTuningConfig
from diglot.studies.compare.config import cheap_measures
from diglot.studies.encoder_data import StudyData
from diglot.studies.encoder_sizes import StudySizes
from diglot.studies.encoders import EncoderStudy
from tests.synth.scenes.shapes import pools
from tests.tiny_folders import save_clip, save_language

SIZE = StudySizes(scenes=4, held_out=4, images=3, pairs=4)
LABELS = ["last", "first", "middle", "untrained"]
KEYS = ["region_matching", "region_naming", "pointing", "iou", "caption_nll"]
COLUMNS = [f"{recipe}.{key}" for recipe in ("caption", "code_switch") for key in KEYS]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    save_language(root / "language")
    save_clip(root / "clip")
    clip = {"name": "clip", "path": str(root / "clip")}
    settings = {
        "last": {"encoder": {**clip, "layer": -1}},
        "first": {"encoder": {**clip, "layer": 1}},
        "middle": {"encoder": {**clip, "layer": 0}},
        "untrained": {
            "encoder": {"name": "efficientnet_lite0", "image_px": 64, "weights": "random:0"}
        },
    }
    (root / "settings.yaml").write_text(json.dumps(settings))
    for objective in ("caption", "code_switch"):
        recipe = {
            "objective": {"name": objective},
            "model": {
                "encoder": clip,
                "projector": {"name": "mlp", "hidden": 24},
                "language": {"path": str(root / "language")},
            },
            "optim": {"lr": 3e-3},
            "global_batch": 4,
            "micro_batch": 4,
        }
        (root / f"{objective}.yaml").write_text(json.dumps(recipe))
    return root


def planned(world: Path, out: Path, **changes) -> EncoderStudy:
    defaults = {
        "settings": str(world / "settings.yaml"),
        "recipe": str(world / "caption.yaml"),
        "result_recipe": str(world / "code_switch.yaml"),
        "seeds": (0,),
        "measure": cheap_measures(),
        "jobs": 1,
        "data": StudyData(out=out, size=SIZE, pools=pools(), photos=[]),
    }
    return EncoderStudy(out=out, **defaults | changes)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "law"
    return out, planned(world, out).run(ignore_progress)


def test_every_setting_has_scores_and_results(finished):
    out, record = finished
    with open(out / "scores.csv") as file:
        lines = list(csv.DictReader(file))
    assert [line["setting"] for line in lines] == LABELS
    assert list(lines[0]) == ["setting", "A", "C", *COLUMNS]
    assert all(line[name] for line in lines for name in lines[0])
    assert json.loads((out / "study.json").read_text()) == record
    assert len({row["A"] for row in record["settings"]}) == len(LABELS)
    assert all(0 <= row["C"] <= 1 and row["A"] < 0 for row in record["settings"])


def test_predictions_with_and_without_the_untrained(finished):
    _, record = finished
    everything = record["predictions"]["all settings"]
    assert list(everything) == COLUMNS
    prediction = everything["code_switch.caption_nll"]
    assert prediction["settings"] == 4
    assert set(prediction["fits"]) >= {"A linear", "AC quadratic"}
    trained = record["predictions"]["without encoders never trained"]["code_switch.caption_nll"]
    assert trained["settings"] == 3


def test_a_second_call_does_nothing_again(world, finished):
    out, record = finished
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert len(stamps) >= 8
    assert planned(world, out).run(ignore_progress) == record
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == stamps


@pytest.mark.slow
def test_one_recipe_for_both_trains_once(world, tmp_path):
    recipe, clip = str(world / "caption.yaml"), {"name": "clip", "path": str(world / "clip")}
    two = {"last": {"encoder": clip}, "first": {"encoder": {**clip, "layer": 1}}}
    (tmp_path / "two.yaml").write_text(json.dumps(two))
    changes = {"settings": str(tmp_path / "two.yaml"), "result_recipe": recipe}
    record = planned(world, tmp_path / "law", **changes).run(ignore_progress)
    assert [c for c in record["settings"][0] if "." in c] == COLUMNS[:5]


def test_what_cannot_work_is_refused_before_any_training(world, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "caption.yaml").write_text("{}")
    broken = {"a": {"encoder": {"name": "clip", "path": str(tmp_path / "none")}}}
    (tmp_path / "broken.yaml").write_text(json.dumps(broken))
    out = tmp_path / "law"
    for changes, message in (
        ({"result_recipe": str(tmp_path / "other" / "caption.yaml")}, "two recipes of one name"),
        ({"settings": str(tmp_path / "broken.yaml")}, "rows.a"),
        ({"settings": str(tmp_path / "none.yaml")}, "none.yaml"),
    ):
        with pytest.raises(ConfigError, match=message):
            planned(world, out, **changes).run(ignore_progress)
    assert not list(tmp_path.rglob("*.safetensors"))
    with pytest.raises(ConfigError, match=r"size\.pairs"):
        StudySizes(pairs=0)


@pytest.mark.slow
def test_results_may_come_behind_a_second_stage(world, chain_data, tmp_path):
    """A, C and the answers after fine-tuning by one call, a refused setting named beside them."""
    clip = {"name": "clip", "path": str(world / "clip")}
    settings = {
        "last": {"encoder": {**clip, "layer": -1}},
        "first": {"encoder": {**clip, "layer": 1}},
        "SD1.5": {"refused": "there is no diffusion encoder"},
    }
    (tmp_path / "settings.yaml").write_text(json.dumps(settings))
    recipe, scenes = str(world / "caption.yaml"), str(chain_data / "scenes")
    out = tmp_path / "law"
    record = planned(
        world,
        out,
        settings=str(tmp_path / "settings.yaml"),
        recipe=recipe,
        result_recipe=recipe,
        sft=FineTuningConfig(
            data=str(chain_data / "questions"), config=str(chain_data / "sft.yaml")
        ),
        evaluate=EvaluationConfig(tasks=["presence"], data=scenes, count=6),
    ).run(ignore_progress)
    assert [row["setting"] for row in record["settings"]] == ["last", "first"]
    assert record["refused"] == {"SD1.5": "there is no diffusion encoder"}
    for row in record["settings"]:
        assert row["A"] < 0 <= row["C"] <= 1
        assert 0 <= row["caption.presence.likelihood"] <= 1
        assert row["caption.sft.caption_nll"] != row["caption.caption_nll"]


def test_data_and_pairs_may_be_given(world, tmp_path):
    """Nothing is composed where both are there."""
    data = StudyData(out=tmp_path, size=SIZE, pools=[], photos=[], data=world, pairs=world)
    data.make(ignore_progress)
    assert not list(tmp_path.iterdir())
    assert data.scenes == data.captions == world
    with pytest.raises(ConfigError, match="no pairs here"):
        data.open_pairs(ignore_progress)
