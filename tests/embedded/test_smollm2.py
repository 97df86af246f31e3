import json
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from diglot.embedded.smollm2 import language_model_dir

pytestmark = pytest.mark.embedded

SENTENCE = "The Eiffel Tower is a wrought-iron lattice tower on the Champ de Mars in Paris, France."


@pytest.fixture(scope="module")
def folder() -> Path:
    return language_model_dir()


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def test_the_folder_is_plain_float32_and_says_nothing_of_gguf(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert (config["hidden_size"], config["num_hidden_layers"]) == (576, 30)
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 2)
    assert config["tie_word_embeddings"] is True
    assert "quantization_config" not in config
    with safe_open(folder / "model.safetensors", "pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
        assert kinds == {"F32"}
        assert "lm_head.weight" not in set(weights.keys())  # tied: stored once


def test_loads_without_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = transformers_logging.get_logger("transformers")
    root.addHandler(caplog.handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            AutoTokenizer.from_pretrained(folder)
            loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
            model, info = loaded
    finally:
        root.removeHandler(caplog.handler)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert not any(info.values()), info
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_tokenizer_adds_nothing_and_keeps_the_special_tokens(tokenizer: Any) -> None:
    assert tokenizer.is_fast
    assert len(tokenizer) == 49152
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [
        0,
        1,
        2,
    ]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    # The known ids of this vocabulary; no prefix space, no BOS.
    assert tokenizer("The dog runs.").input_ids == [504, 2767, 7313, 30]
    assert tokenizer.convert_ids_to_tokens(tokenizer("a dog").input_ids) == ["a", "Ġdog"]
    assert tokenizer("<|im_start|>user").input_ids[0] == 1


@pytest.mark.parametrize(
    "text", ["The dog runs.", " two  spaces\n\nnewline 1234", "café, 🐶 and 3½ ²", "don't 2,5 m"]
)
def test_text_survives_and_offsets_tile_it(tokenizer: Any, text: str) -> None:
    found = tokenizer(text, return_offsets_mapping=True)
    assert tokenizer.decode(found.input_ids) == text
    covered = {i for start, end in found.offset_mapping for i in range(start, end)}
    assert covered == set(range(len(text)))


def test_each_digit_is_a_token(tokenizer: Any) -> None:
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("in 2024").input_ids)
    assert tokens == ["in", "Ġ", "2", "0", "2", "4"]
    # Superscripts count as digits too; GPT-2's rule alone would join them.
    assert len(tokenizer("²²").input_ids) == 2 * len(tokenizer("²").input_ids)


def test_chat_template(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text.startswith("<|im_start|>system\n")
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_the_model_knows_english(folder: Path, tokenizer: Any) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(SENTENCE, return_tensors="pt").input_ids
    with torch.inference_mode():
        right = model(ids, labels=ids).loss.item()
        shuffled = ids[:, torch.randperm(ids.shape[1], generator=torch.Generator().manual_seed(0))]
        wrong = model(shuffled, labels=shuffled).loss.item()
    assert math.exp(right) == pytest.approx(10.6, rel=0.05)  # measured; 49,152 is chance
    assert math.exp(wrong) > 1000


def test_the_model_answers(folder: Path, tokenizer: Any) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**prompt, max_new_tokens=10, do_sample=False)
    answer = tokenizer.decode(out[0, prompt.input_ids.shape[1] :])
    assert answer == "The capital of France is Paris.<|im_end|>"
