"""Samples of a stated shape, and models of a stated size, for timing."""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.machine import ON_CPU, Setting
from diglot.core.preprocess import Preprocess
from diglot.core.types import Region, Sample
from diglot.embedded.smollm2 import language_model_dir
from diglot.models.language import Language, LanguageConfig, load_language
from diglot.models.projectors import mlp
from diglot.models.vlm import VLM

WORDS = [
    "the",
    "small",
    "red",
    "dog",
    "near",
    "a",
    "large",
    "green",
    "house",
    "with",
    "two",
    "old",
    "trees",
    "and",
    "one",
    "white",
    "boat",
    "on",
    "water",
]


@dataclass(frozen=True)
class Shape:
    """What a sample looks like to the LLM."""

    name: str
    image_px: int  # side of a view
    views: str  # "squash" or "tiles"
    patch_px: int
    size_px: int  # side of the (square) image
    caption_words: int
    entities: tuple[int, ...]  # of each sample of the batch
    entity_words: int
    box_share: float  # of the image's area


# MMCS section 3: 5 views of 144 tokens, 215 caption tokens, 6.65 entities a sample (20 in 3).
PAPER = Shape("paper", 384, "tiles", 16, 768, 215, (7, 7, 6), 4, 0.12)
# The embedded models' recipe: 49 visual tokens, a short caption, four entities of one word.
EMBEDDED = Shape("embedded", 448, "squash", 32, 448, 30, (4, 4, 4, 4), 1, 0.08)


class FixedFeatures(nn.Module):
    """Stands where the encoder is; its features are given, as from the feature cache."""

    width, mean, std, resample, revision = 256, (0.5,) * 3, (0.5,) * 3, "bilinear", "benchmark"

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.image_px, self.patch_px = shape.image_px, shape.patch_px


def llama_config(*, layers: int, width: int | None = None, **changes: Any) -> LlamaConfig:
    """SmolLM2's, or one of its vocabulary in Llama 2's proportions, `width` wide."""
    config = LlamaConfig.from_pretrained(language_model_dir(), trust_remote_code=False)
    if width is not None:
        heads = width // 128
        changes |= {"hidden_size": width, "intermediate_size": 43 * width // 16, "head_dim": 128}
        changes |= {"num_attention_heads": heads, "num_key_value_heads": heads}
    config.update({"num_hidden_layers": layers, **changes})
    return config


def _language(layers: int, setting: Setting) -> Language:
    if setting.width is None:
        language: Any = load_language(LanguageConfig())
        language.model.model.layers = language.model.model.layers[:layers]
        language.model.config.num_hidden_layers = layers
        return language
    tokenizer: Any = AutoTokenizer.from_pretrained(language_model_dir(), trust_remote_code=False)
    with torch.device(setting.device):
        wide = LlamaForCausalLM(llama_config(layers=layers, width=setting.width))
    return Language(wide, tokenizer)


def model(shape: Shape, *, layers: int, setting: Setting = ON_CPU) -> VLM:
    """The first `layers` layers of SmolLM2-135M, frozen, behind a projector that learns."""
    torch.manual_seed(0)
    language = _language(layers, setting).requires_grad_(False).eval()
    projector = mlp.build(
        mlp.Config(unshuffle=2, hidden=576),
        encoder_width=FixedFeatures.width,
        llm_width=language.width,
        embeddings_rms=0.12,
    )
    preprocess = Preprocess(mode=shape.views, image_px=shape.image_px)  # type: ignore[arg-type]
    vlm = VLM(FixedFeatures(shape), projector, language, preprocess, setting.attention)
    return vlm.to(setting.device)


def models(layers: int, setting: Setting = ON_CPU) -> Iterator[tuple[Shape, VLM]]:
    """Both shapes, each with its model."""
    for shape in (EMBEDDED, PAPER):
        yield shape, model(shape, layers=layers, setting=setting)


def samples(shape: Shape, *, seed: int = 0) -> list[Sample]:
    """One sample per entry of `shape.entities`, boxes at random places."""
    rng = random.Random(seed)
    return [_sample(shape, index, count, rng) for index, count in enumerate(shape.entities)]


def features(vlm: VLM, sample: Sample) -> list[torch.Tensor]:
    """Random features of every view of a sample."""
    views = vlm.feature_grid(sample.size_hw).views
    return [torch.randn(*view.grid_hw, FixedFeatures.width) for view in views]


def _sample(shape: Shape, index: int, entities: int, rng: random.Random) -> Sample:
    words = [rng.choice(WORDS) for _ in range(shape.caption_words)]
    gap = shape.caption_words // entities
    starts = [i * gap + (gap - shape.entity_words) // 2 for i in range(entities)]
    side = shape.size_px * shape.box_share**0.5
    regions = []
    for start in starts:
        before = len(" ".join(words[:start])) + 1
        phrase = " ".join(words[start : start + shape.entity_words])
        x, y = (rng.uniform(0, shape.size_px - side) for _ in range(2))
        regions.append(
            Region(
                phrase=phrase, span=(before, before + len(phrase)), box=(x, y, x + side, y + side)
            )
        )
    stream = io.BytesIO()
    Image.new("RGB", (shape.size_px, shape.size_px)).save(stream, "PNG")
    return Sample.captioned(
        id=f"{shape.name}/{index}",
        image=stream.getvalue(),
        size_hw=(shape.size_px, shape.size_px),
        caption=" ".join(words),
        regions=tuple(regions),
    )
