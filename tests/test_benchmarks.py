"""Every suite of `python -m benchmarks` runs, at the smallest size at which it still does its work.

No figure is looked at. A suite that nobody runs breaks with what it times, and nobody sees it.
"""

import json
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import shapes
from benchmarks.shapes import EMBEDDED, PAPER
from benchmarks.synth import Generated

SHAPES = {
    "PAPER": replace(PAPER, image_px=64, size_px=128, caption_words=12, entities=(2,)),
    "EMBEDDED": replace(EMBEDDED, caption_words=12, entities=(2,)),
}
REPEATS = {PAPER.name: 1, EMBEDDED.name: 1}
# What stands in the place of each suite's own sizes, beside the shapes of all.
SMALLEST: dict[str, dict[str, Any]] = {
    "code_switch": {},
    "convert": {"COUNT": 10, "FORMATS": {"coco": "instances.json"}},
    "dataset": {"SHARDS": 2, "READS": 3},
    "evaluate": {"REPEATS": REPEATS, "QUESTIONS": 3},
    "lmms": {"FEW": 1, "MANY": 2, "TOKENS": 1, "ROUNDS": 1},
    "loss": {"WIDTH": 8, "VOCABULARY": 64},
    "measure": {"SCENES": 3, "REPEATS": 1, "LAYERS": 1},
    "measure_memory": {"SIDE": 12, "WIDTH": 128, "LAYERS": 2, "COUNTS": (3,)},
    "objectives": {"REPEATS": REPEATS},
    "pipeline": {},
    "profile": {},
    "select": {"SHAPES": {"4 x 4 x 8": (128, 32, 8)}, "PAIRS": 2, "KEYPOINTS": 3},
    "synth": {"SIZES": (8, 16), "SCENES": 2, "MASK_SCENES": 1},
    "synth_cost": {"SLICES": 3, "SLICE_IMAGES": 8, "ROUNDS": 1, "MODEL_SECONDS": 0.001},
}


def make_small(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the smallest sizes in the place of the suite's own."""
    module = sys.modules[f"benchmarks.{suite}"]
    for name, value in SMALLEST[suite].items():
        assert hasattr(module, name), f"{suite} has no {name} to make small"
        monkeypatch.setattr(module, name, value)
    for name, shape in SHAPES.items():
        monkeypatch.setattr(shapes, name, shape)
        if hasattr(module, name):
            monkeypatch.setattr(module, name, shape)


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.parametrize("suite", command.SUITES)
def test_every_suite_runs_at_its_smallest_size(suite, tmp_path, monkeypatch, capsys):
    make_small(suite, monkeypatch)
    out = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["benchmarks", suite, "--layers", "1", "--json", str(out)])
    command.main()
    assert json.loads(out.read_text())[suite]
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.parametrize("suite", command.ANYWHERE)
def test_what_runs_anywhere_runs_in_half_precision_and_wide(suite, tmp_path, monkeypatch):
    make_small(suite, monkeypatch)
    options = ["--precision", "bf16", "--width", "128", "--attention", "sdpa", "--layers", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", suite, *options])
    command.main()


def test_a_device_that_is_not_here_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "objectives", "--device", "cuda"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no GPU" in capsys.readouterr().err


def test_generated_images_are_drawn_when_asked_for():
    images = Generated(3, 16)
    assert [images.read_item(i).size_hw for i in images.list_items()] == [(16, 16)] * 3
