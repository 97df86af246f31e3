"""The card of an export says what is known of the run, and does without files that are damaged."""

import json
from pathlib import Path

import pytest

from diglot.models.export.card import model_card
from diglot.models.export.container import load_container


@pytest.mark.parametrize("settings", ["", "[1, 2]", '{"data": "scenes"}'])
def test_a_run_that_was_killed_or_damaged(tmp_path: Path, settings: str, caplog) -> None:
    checkpoint = tmp_path / "run" / "model"
    checkpoint.mkdir(parents=True)
    (checkpoint / "vlm.json").write_text(json.dumps({"encoder": {"name": "clip"}}))
    (tmp_path / "run" / "config.json").write_text(settings)
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 0, "loss": 2.5}\n{"step": 1, "lo')
    card = model_card(load_container("llava"), checkpoint, None)
    assert ("{'loss': 2.5}" in card) == ("scenes" in settings) == ("Data: `scenes`" in card)
    assert ("config.json is damaged" in caplog.text) == ("scenes" not in settings)
