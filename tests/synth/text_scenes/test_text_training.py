"""MMCS trains on rendered words and charts by the loop; it is measured, and the A score taken."""

import json
import math
from pathlib import Path

import pytest
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world, tiny_stage

from diglot.data.images import decode_image
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejected
from diglot.measure.a_score import AScoreConfig, a_score
from diglot.measure.a_score_captions import choose_captions
from diglot.models.checkpoint import load_vlm
from diglot.models.views import encode_pictures
from diglot.train.loop import train

SMALL = ["--text.image_px", "64", "--text.mentions", "[2,3]"]
FEW_TEXTS = {"words": ["--text.texts", "[2,3]"], "charts": []}
MEASURES = "{regions: {scenes: 2}, localisation: {scenes: 2}}"


@pytest.mark.parametrize("kind", ["words", pytest.param("charts", marks=pytest.mark.slow)])
def test_the_verb_writes_them_and_mmcs_trains_and_is_measured_on_them(
    kind: str, tmp_path: Path
) -> None:
    save_world(tmp_path / "world", samples=4)
    data, run = tmp_path / "data", tmp_path / "run"
    for split, count in (("train", "6"), ("test", "4")):
        args = ["scenes", str(data), "--kind", kind, "--split", split, "--count", count]
        assert run_diglot(*args, *SMALL, *FEW_TEXTS[kind]) == 0
    stage = tiny_stage(tmp_path / "world", run, data=str(data), row_tokens=1024)
    train(stage)
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses
    assert all(map(math.isfinite, losses))

    out = tmp_path / "measured.json"
    args = ["measure", str(run), "--data", str(data), "--json", str(out), "--examples", "0"]
    options = ["--measure.measures", MEASURES, "--measure.bootstrap_draws", "20"]
    assert run_diglot(*args, *options) == 0
    entries = json.loads(out.read_text())["measures"]
    keys = {entry["key"] for entry in entries}
    assert keys == {"iou", "pointing", "region_matching", "region_naming"}

    vlm = load_vlm(run / "model")
    captions = choose_captions(
        open_dataset(data, "test"),
        vlm.language.tokenizer,
        Rejected(tmp_path / "rejected.jsonl"),
        images=4,
        max_length=1024,
        seed=0,
    )
    score = a_score(
        vlm,
        captions,
        lambda s: encode_pictures(vlm, [decode_image(s.image)])[0],
        AScoreConfig(bootstrap_draws=9),
    )
    assert score.estimate.value < 0
    assert score.tokens > 20
