import json
from pathlib import Path

import pytest

from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.conversations import ConversationMaker, QuestionsConfig
from diglot.synth.scenes.write import write_scenes
from tests.models.test_chat_template import PROMPTED
from tests.synth.scenes.shapes import pools

SMALL = ScenesConfig(image_px=48, object_px=(12, 16), objects=(1, 2), texture_share=1.0)
SECOND = {
    "optim": {"lr": 3e-3},
    "trainable": {"lora": {"rank": 2, "dropout": 0.0}},
    "global_batch": 4,
    "micro_batch": 4,
    "row_tokens": 512,
    "checkpoint_every": 1,
}


@pytest.fixture(scope="session")
def chain_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Conversations to fine-tune on, scenes to ask about, and the second stage's recipe."""
    root = tmp_path_factory.mktemp("chain")
    maker = SceneMaker(pools(), SMALL, seed=1)
    write_scenes(ConversationMaker(maker, QuestionsConfig()), root / "questions", 4)
    write_scenes(SceneMaker(pools(), SMALL, split="test", seed=1), root / "scenes", 6)
    (root / "chat.jinja").write_text(PROMPTED)
    objective = {"name": "instruct", "template": str(root / "chat.jinja")}
    (root / "sft.yaml").write_text(json.dumps(SECOND | {"objective": objective}))
    return root
