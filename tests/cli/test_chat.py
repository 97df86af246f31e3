"""`diglot chat`: an answer equals a stock model's, and the map lies where its tokens do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diglot.cli.main import USER_ERROR
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid, View
from diglot.core.layout import encode, pack
from diglot.core.segments import Tokens
from diglot.data.images import open_picture
from diglot.models.chat import generate_text, heat_map, project_picture, question_prompt
from diglot.models.checkpoint import save_vlm
from diglot.models.config import LanguageConfig, VLMConfig
from diglot.models.export.flow import load_checkpoint, open_config
from diglot.models.vlm import build_vlm
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_clip, save_language


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    config = VLMConfig(
        encoder={"name": "clip", "path": str(save_clip(tmp_path / "clip"))},
        language=LanguageConfig(path=str(save_language(tmp_path / "language"))),
    )
    save_vlm(build_vlm(config), config, tmp_path / "run/model", parts=("projector",))
    return tmp_path / "run/model"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_greedy_answer_is_the_likeliest_next_token_each_time(checkpoint: Path, photo: Path) -> None:
    vlm = load_checkpoint(checkpoint, open_config(checkpoint))
    projected = project_picture(vlm, Image.open(photo).convert("RGB"))
    prompt = question_prompt(vlm, "Who?")
    answer = generate_text(vlm, projected, prompt, max_tokens=5)
    ids: list[int] = []
    while len(ids) < 5:
        sequence = (*prompt, Tokens(tuple(ids)))
        document = encode(sequence, visual_counts=[len(projected.grid)], terms=())
        packed = pack([document], row_tokens=1)
        with torch.no_grad():
            hidden = vlm.decode(packed, projected.inputs_PD).last_hidden_state[0, -1]
            ids.append(int(vlm.language.head(hidden).argmax()))
        if ids[-1] == vlm.language.tokenizer.eos_token_id:
            break
    assert answer == vlm.language.tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_an_answer_ends_with_the_window(
    checkpoint: Path, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vlm = load_checkpoint(checkpoint, open_config(checkpoint))
    projected = project_picture(vlm, Image.open(photo).convert("RGB"))
    prompt = question_prompt(vlm, "Who?")
    tokens = sum(len(one.ids) if isinstance(one, Tokens) else 16 for one in prompt)
    whole = generate_text(vlm, projected, prompt, max_tokens=5)
    vlm.language.model.config.max_position_embeddings = tokens + 5
    assert generate_text(vlm, projected, prompt, max_tokens=5) == whole
    assert not caplog.text
    generate_text(vlm, projected, prompt, max_tokens=10_000)
    assert f"the language model reads {tokens + 5} tokens" in caplog.text
    vlm.language.model.config.max_position_embeddings = 8
    with pytest.raises(ConfigError, match=r"fill the language model's window.*fewer than 8"):
        generate_text(vlm, projected, prompt, max_tokens=1)


def test_chat_answers_and_points(checkpoint: Path, photo: Path, tmp_path: Path, capsys) -> None:
    result_path, overlay = tmp_path / "answer.json", tmp_path / "map.png"
    command = ["chat", str(checkpoint), str(photo), "--point", "dog", "--map", str(overlay)]
    assert run_diglot(*command, "--max_tokens", "4", "--json", result_path) == 0
    assert "nearest token" in capsys.readouterr().out
    found = json.loads(result_path.read_text())
    assert len(found["cosine"]) == len(found["cells_xyxy"]) == 16
    best = int(np.argmax(found["cosine"]))
    assert found["nearest_xyxy"] == pytest.approx(found["cells_xyxy"][best], abs=0.1)
    assert Image.open(overlay).size == (60, 40)


def test_mistakes_are_one_message(checkpoint: Path, photo: Path, tmp_path: Path, capsys) -> None:
    assert run_diglot("chat", checkpoint, tmp_path / "none.png") == USER_ERROR
    assert "no such file or folder" in capsys.readouterr().err
    assert run_diglot("chat", tmp_path, photo) == USER_ERROR
    assert "no vlm.json" in capsys.readouterr().err
    assert run_diglot("chat", checkpoint, photo, "--question", "<image>?") == USER_ERROR
    assert "spells <image>" in capsys.readouterr().err
    assert run_diglot("chat", checkpoint, photo, "--map", "x.png") == USER_ERROR


def test_fine_cells_lie_over_coarse_ones() -> None:
    whole = View(resize_hw=(8, 8), window=(0, 0, 8, 8), grid_hw=(1, 1), cell_px=8)
    tile = View(resize_hw=(8, 8), window=(0, 0, 4, 8), grid_hw=(2, 1), cell_px=4, kind="tile")
    heat = heat_map(TokenGrid((8, 8), (tile, whole)), np.array([1.0, 2.0, 9.0]), (4, 4))
    assert heat.tolist() == [[1, 1, 9, 9]] * 2 + [[2, 2, 9, 9]] * 2


def test_a_phone_photograph_is_asked_about_upright(tmp_path: Path) -> None:
    lying = Image.new("RGB", (4, 2), "red")
    lying.putpixel((0, 0), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    lying.save(tmp_path / "phone.png", exif=exif)
    upright = open_picture(tmp_path / "phone.png")
    assert upright.size == (2, 4)
    assert upright.getpixel((1, 0)) == (0, 0, 255)
