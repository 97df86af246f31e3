"""Scenes, stage 1, questions, stage 2, export, check and chat: one sequence from end to end."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from diglot.core.preprocess import Preprocess
from diglot.data.images import decode_image
from diglot.data.records import open_dataset
from diglot.embedded.photos import photo_files
from diglot.models.chat import generate_text, project_picture, question_prompt
from diglot.models.config import LanguageConfig, LoraConfig, Trainable, VLMConfig
from diglot.models.export import stock_run
from diglot.models.export.check import NEW_TOKENS, QUESTION, check_export
from diglot.models.export.flow import export_checkpoint, load_checkpoint, open_config
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.conversations import ConversationMaker, QuestionsConfig
from diglot.synth.scenes.write import write_scenes
from diglot.train.loop import train
from tests.cli_runner import run_diglot
from tests.models.test_chat_template import PROMPTED
from tests.synth.scenes.shapes import pools
from tests.tiny_folders import save_world, tiny_stage
from tests.train.outcome import losses

SMALL = ScenesConfig(image_px=48, object_px=(12, 16), objects=(1, 2), texture_share=1.0)


def write_data(root: Path) -> None:
    """Four captioned scenes, and questions about four."""
    maker = SceneMaker(pools(), SMALL, seed=1)
    write_scenes(maker, root / "scenes", 4)
    write_scenes(ConversationMaker(maker, QuestionsConfig()), root / "questions", 4)


def test_both_stages_and_out_at_tiny_size(tmp_path: Path) -> None:
    world = save_world(tmp_path / "world", samples=1)
    write_data(tmp_path)
    (tmp_path / "chat.jinja").write_text(PROMPTED)
    model = VLMConfig(
        encoder={"name": "clip", "path": str(world / "clip"), "layer": -2},
        projector={"name": "mlp", "activation": "gelu"},
        language=LanguageConfig(path=str(world / "language")),
        preprocess=Preprocess(mode="center_crop", image_px=32),
    )
    first = tiny_stage(
        world, tmp_path / "stage1", data=str(tmp_path / "scenes"), model=model, row_tokens=512
    )
    second = tiny_stage(
        world,
        tmp_path / "stage2",
        data=str(tmp_path / "questions"),
        model=model,
        start_from=str(train(first)),
        objective={"name": "instruct", "template": str(tmp_path / "chat.jinja")},
        trainable=Trainable(lora=LoraConfig(rank=2, dropout=0.0)),
        epochs=3,
        row_tokens=512,
    )
    checkpoint = train(second)
    assert losses(tmp_path / "stage2")[-1] < losses(tmp_path / "stage2")[0]
    out = tmp_path / "exported"
    export_checkpoint(checkpoint, "llava", out)
    AutoModelForImageTextToText.from_pretrained(out)
    assert PROMPTED in AutoProcessor.from_pretrained(out).chat_template
    vlm = load_checkpoint(checkpoint, open_config(checkpoint))
    picture = decode_image(open_dataset(tmp_path / "questions")[0].image)
    result = check_export(out, vlm, [picture], run=stock_run.main)
    assert result.passed
    prompt = question_prompt(vlm, QUESTION)
    ours = generate_text(vlm, project_picture(vlm, picture), prompt, max_tokens=NEW_TOKENS)
    assert ours == result.answers[0].strip()  # chat answers what the stock folder does


@pytest.mark.slow
@pytest.mark.embedded
def test_readme_s_sequence_on_the_embedded_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["--max_samples", "4"]
    for line, more in (
        ("scenes data/scenes --count 4", []),
        ("scenes data/questions --instruct --count 4", []),
        ("train --config embedded/code_switch_stock --data data/scenes --out runs/stock", tiny),
        (
            "train --config embedded/sft --start_from runs/stock/model --data data/questions "
            "--out runs/sft",
            tiny,
        ),
        ("export runs/sft/model --to fast_vlm --out exported/sft", []),
    ):
        assert run_diglot(*line.split(), *more) == 0, line
    config = json.loads(Path("exported/sft/config.json").read_text())
    assert config["architectures"] == ["FastVlmForConditionalGeneration"]
    picture = str(photo_files("objects")[0])
    capsys.readouterr()
    asked = ["chat", "runs/sft/model", picture, "--question", "What is it?", "--max_tokens", "4"]
    assert run_diglot(*asked) == 0
    assert capsys.readouterr().out.strip()
