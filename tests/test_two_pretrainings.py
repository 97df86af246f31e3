"""examples/two_pretrainings.sh from nothing to its page, on tiny models of the same classes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.test_chat_template import PROMPTED
from tests.tiny_folders import save_clip, save_language

SCRIPT = Path(__file__).parents[1] / "examples" / "two_pretrainings.sh"
LMMS = os.environ.get("DIGLOT_LMMS_PYTHON", "build/lmms/bin/python")


def write_recipes(root: Path) -> dict[str, str]:
    """The script's variables for tiny models that a Llava holds."""
    save_language(root / "language")
    save_clip(root / "clip")
    (root / "chat.jinja").write_text(PROMPTED)
    model = {
        "encoder": {"name": "clip", "path": str(root / "clip")},
        "projector": {"name": "mlp", "activation": "gelu"},
        "language": {"path": str(root / "language")},
        "preprocess": {"mode": "center_crop", "image_px": 32},
    }
    common = {"model": model, "optim": {"lr": 3e-3}, "global_batch": 4, "micro_batch": 4}
    sft = {"objective": {"name": "instruct", "template": str(root / "chat.jinja")}}
    sft |= {"trainable": {"lora": {"rank": 2, "dropout": 0.0}}, "row_tokens": 1024}
    recipes = {
        "CAPTION": common | {"objective": "caption"},
        "MMCS": common | {"objective": "code_switch"},
        "SFT": common | sft,
    }
    for name, recipe in recipes.items():
        (root / f"{name}.yaml").write_text(json.dumps(recipe))
    return {name: str(root / f"{name}.yaml") for name in recipes}


@pytest.mark.slow
@pytest.mark.embedded
def test_the_whole_sequence_ends_with_one_page(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "diglot").write_text(f'#!/bin/sh\nexec {sys.executable} -m diglot "$@"\n')
    (tools / "diglot").chmod(0o755)
    has_lmms = Path(LMMS).exists()
    variables = {
        **write_recipes(tmp_path),
        "CONTAINER": "llava",
        "SCENES": "6",
        "QUESTIONS": "6",
        "ASKED": "6",
        "LMMS_PYTHON": str(Path(LMMS).absolute()) if has_lmms else "",
        "PATH": f"{tools}:{os.environ['PATH']}",
    }
    out = tmp_path / "out"
    made = subprocess.run(
        ["bash", str(SCRIPT), str(out)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    page = (out / "page.html").read_text()
    record = json.loads((out / "offline.json").read_text())
    assert record["runs"] == ["caption", "mmcs"]
    assert "Two pretrainings, one fine-tuning" in page
    assert 'data-measure="counting.likelihood"' in page
    assert ("lmms.diglot_counting.accuracy" in page) == has_lmms
    for name in ("caption", "mmcs"):
        config = json.loads((out / "exported" / name / "config.json").read_text())
        assert config["model_type"] == "llava"
