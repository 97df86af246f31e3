"""The work that every trainer does: a stock Llava of random weights, and images with text.

Stage 1 of LLaVA (`caption`): the projector learns, on captions of 36 to 190 words. Stage 2 (`sft`):
projector and language model learn in full, on conversations of 20 to 400 words in answers, most of
them short. Every trainer gets the same weights, samples, order and token ids; those that are not
ours get pixels and ids made beforehand.
"""

import io
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from benchmarks.shapes import WORDS, llama_config
from diglot.core.conversation import Turn
from diglot.core.types import Sample
from diglot.data.config import DataSource
from diglot.data.writer import write_dataset
from diglot.embedded.smollm2 import language_model_dir
from diglot.models.config import Trainable, VLMConfig
from diglot.train.config import ObjectivePart, OptimConfig, StageConfig

SIDE_PX, PATCH_PX = 224, 16
TASKS = ("caption", "sft")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Sizes and places of one comparison."""

    folder: str
    task: Literal["caption", "sft"] = "caption"
    layers: int = 6
    vocabulary: int = 49216
    steps: int = 6
    precision: str = "no"
    threads: int = 1
    device: str = "cpu"
    attention: Any = "split"  # of ours
    width: int | None = None  # of the LLM, if not SmolLM2's
    samples: int | None = None  # of a step, if not few

    @property
    def counts(self) -> bool:
        """Whether operations are counted: torch cannot where heads share keys on a GPU."""
        return self.device == "cpu" or self.width is not None

    @property
    def model(self) -> str:
        """The stock model's folder."""
        return f"{self.folder}/llava"

    @property
    def batch(self) -> int:
        """Samples of a step."""
        return self.samples or (4 if self.task == "caption" else 8)

    @property
    def lr(self) -> float:
        """The learning rate of all that learns."""
        return 1e-3 if self.task == "caption" else 2e-5

    def config(self, out: str) -> StageConfig:
        """The stage as a recipe of ours."""
        return StageConfig(
            data=[DataSource(path=f"{self.folder}/data")],
            out=out,
            objective=ObjectivePart("caption" if self.task == "caption" else "instruct"),
            trainable=Trainable(language=self.task == "sft"),
            model=VLMConfig(stock=self.model, attention=self.attention),
            optim=OptimConfig(lr=self.lr, schedule="constant", warmup=0.0, clip=1.0),
            global_batch=self.batch,
            micro_batch=self.batch,
            precision=self.precision,  # type: ignore[arg-type]
            checkpoint_every=10**6,
        )


def make_stage(stage: Stage) -> int:
    """Write model and data; returns the bytes of the weights."""
    make = _captioned_samples if stage.task == "caption" else _conversations
    write_dataset(make(stage.steps * stage.batch), Path(stage.folder) / "data")
    (Path(stage.folder) / "stage.json").write_text(json.dumps(asdict(stage)))
    model = _save_model(stage)
    return sum(p.numel() * p.element_size() for p in model.parameters())


def load_model(stage: Stage) -> Any:
    """The stock model in float32, all of it learning that learns, as every peer trains it."""
    model = LlavaForConditionalGeneration.from_pretrained(
        stage.model, dtype=torch.float32, attn_implementation="sdpa", trust_remote_code=False
    )
    model.requires_grad_(stage.task == "sft")
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    return model


def _save_model(stage: Stage) -> Any:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(language_model_dir(), trust_remote_code=False)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = llama_config(layers=stage.layers, width=stage.width, vocab_size=stage.vocabulary)
    vision = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12}
    vision |= {"num_attention_heads": 6, "image_size": SIDE_PX, "patch_size": PATCH_PX}
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **vision},
        text_config=text,
        image_token_index=len(tokenizer) - 1,
        tie_word_embeddings=True,
    )
    with torch.device(stage.device):
        model = LlavaForConditionalGeneration(config)
    model.save_pretrained(stage.model)
    square = {"height": SIDE_PX, "width": SIDE_PX}
    LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": SIDE_PX}, crop_size=square),
        tokenizer,
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(stage.model)
    return model


def _conversations(count: int) -> list[Sample]:
    """Noise with one to three questions; answers of 20 to 400 words together, log-uniform."""
    words, pixels = random.Random(0), np.random.default_rng(0)
    made = []
    for index in range(count):
        questions = words.randint(1, 3)
        length = round(20 * 20 ** words.random()) // questions
        turns = []
        for number in range(questions):
            asked = "<image>\n" * (number == 0) + " ".join(words.choices(WORDS, k=8))
            answer = " ".join(words.choices(WORDS, k=length))
            turns += [Turn(role="user", text=asked)]
            turns += [Turn(role="assistant", text=answer, learn=True)]
        image, size_hw = _draw_noise(pixels), (SIDE_PX, SIDE_PX)
        made.append(Sample(id=str(index), images=(image,), sizes_hw=(size_hw,), turns=tuple(turns)))
    return made


def _draw_noise(pixels: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    noise = pixels.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def _captioned_samples(count: int) -> list[Sample]:
    """Noise with captions of 36 to 190 words."""
    words, pixels = random.Random(0), np.random.default_rng(0)
    made = []
    for index in range(count):
        image = _draw_noise(pixels)
        caption = " ".join(words.choice(WORDS) for _ in range(words.randint(36, 190)))
        made.append(
            Sample.captioned(
                id=str(index),
                image=image,
                size_hw=(SIDE_PX, SIDE_PX),
                caption=caption,
                regions=(),
            )
        )
    return made
