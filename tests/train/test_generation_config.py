"""A generation config that would stop the last save of a run is found before its first step."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText

from diglot.core.errors import ConfigError
from diglot.models.export.flow import export_checkpoint
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.stock_llava import save_stock_llava


def spell_generation(folder: Path, **fields: object) -> None:
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_an_invalid_one_stops_before_step_0(world, tmp_path: Path) -> None:
    stock = save_stock_llava(tmp_path / "stock")
    spell_generation(stock, max_new_tokens=0)
    with pytest.raises(ConfigError, match="max_new_tokens"):
        train(tiny_stage(world, tmp_path / "run", start_from=str(stock)))
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_figures_of_sampling_without_sampling_go_out_as_they_were(world, tmp_path: Path) -> None:
    """Many stock checkpoints have them; `save_pretrained` alone refuses to write them."""
    stock = save_stock_llava(tmp_path / "stock")
    spell_generation(stock, temperature=0.6, top_p=0.9, do_sample=False)
    checkpoint = train(tiny_stage(world, tmp_path / "run", start_from=str(stock), max_samples=4))
    export_checkpoint(checkpoint, "llava", tmp_path / "out")
    before, after = (
        json.loads((f / "generation_config.json").read_text()) for f in (stock, tmp_path / "out")
    )
    assert before == after
    AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
