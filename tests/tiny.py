"""Tiny random models and pictures, made in memory: real classes, no downloads, milliseconds."""

import io
from functools import cache
from typing import Literal

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from diglot.core import masks
from diglot.core.preprocess import Preprocess
from diglot.core.types import Region, Sample, SizeHW
from diglot.models.language import Language
from diglot.models.projectors import mlp
from diglot.models.tiling import view_pixels
from diglot.models.vlm import VLM

Kind = Literal["llama", "qwen2", "qwen3"]

NAMES = ("dog", "red car", "guitar", "frog", "hot air balloon", "cat")
COLOURS = ("red", "green", "blue", "grey")
BOS, EOS = "<|bos|>", "<|eos|>"
CORPUS = [
    "a dog and a red car beside a small guitar on the left\n",
    "The frog sits below a hot air balloon. It shows a cat, a blue dog.\n",
    "There is a large grey frog to the right of the green cat and the guitar.",
    "Here is one part of the picture: The picture shows a red car with a dog.",
]


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of 320 entries with BOS and EOS; every text can be written in it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        clean_up_tokenization_spaces=False,
    )


@cache
def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """As Llama 2's: BPE that puts the mark of a space before every text, with bytes to fall to."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    mark = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(mark)
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=520, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@cache
def wordpiece_tokenizer() -> PreTrainedTokenizerFast:
    """As BERT's: lower-case words and their continuations."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="[CLS]", eos_token="[SEP]", unk_token="[UNK]"
    )


TOKENIZERS = {
    "byte_level": tiny_tokenizer,
    "sentencepiece": sentencepiece_tokenizer,
    "wordpiece": wordpiece_tokenizer,
}


def tiny_language(kind: Kind = "llama", *, seed: int = 0) -> Language:
    """A random causal LM: width 32, 2 layers, 4 heads over 2 key-value heads, float32, eval mode.

    Its weights are drawn wide (0.2), so that what a token sees changes what it says.
    """
    tokenizer = tiny_tokenizer()
    configs, classes = (
        {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config},
        {"llama": LlamaForCausalLM, "qwen2": Qwen2ForCausalLM, "qwen3": Qwen3ForCausalLM},
    )
    config = configs[kind](
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
        initializer_range=0.2,
        tie_word_embeddings=kind == "llama",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = classes[kind](config).eval()
    return Language(model, tokenizer)


class TinyEncoder(nn.Module):
    """One strided convolution: (V, 3, H, W) pixels to (V, H/8, W/8, 12) features."""

    width, patch_px = 12, 8
    mean = std = (0.5, 0.5, 0.5)
    resample, revision = "bilinear", "tiny"

    def __init__(self, *, image_px: int = 32, seed: int = 0) -> None:
        super().__init__()
        self.image_px = image_px
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, self.width, self.patch_px, stride=self.patch_px)

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        return self.conv(pixels_V3HW).permute(0, 2, 3, 1)


def tiny_vlm(
    kind: Kind = "llama",
    *,
    image_px: int = 32,
    preprocess: Preprocess | None = None,
    unshuffle: int = 1,
    hidden: int = 24,
    seed: int = 0,
) -> VLM:
    """Encoder, MLP projector and LM, all random and in eval mode: 4 x 4 visual tokens at 32 px."""
    encoder, language = TinyEncoder(image_px=image_px, seed=seed), tiny_language(kind, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = mlp.build(
            mlp.Config(hidden=hidden, unshuffle=unshuffle),
            encoder_width=encoder.width,
            llm_width=language.width,
            embeddings_rms=0.5,
        )
    vlm = VLM(encoder, projector, language, preprocess or Preprocess(image_px=image_px))
    return vlm.eval()


def tiny_sample(
    seed: int = 0,
    *,
    objects: int = 2,
    size_hw: SizeHW = (48, 64),
    names: tuple[str, ...] = NAMES,
    sources: tuple[str, ...] = ("cifar10/test/{seed:05d}{i}", "emoji/all/{name}"),
    id: str | None = None,
) -> Sample:
    """Noise with plain rectangles, each a region with its mask, and a caption that names them all.

    Deterministic by `seed`. Names repeat only where there are more objects than `names`; sources
    take turns; later rectangles hide earlier ones in the masks.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    order = rng.permutation(len(names))
    drawn = np.full(size_hw, -1)
    boxes = []
    for i in range(objects):
        h, w = (int(rng.integers(side // 4, side // 2)) for side in size_hw)
        y, x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        pixels[y : y + h, x : x + w] = rng.integers(0, 256, 3)
        drawn[y : y + h, x : x + w] = i
        boxes.append((float(x), float(y), float(x + w), float(y + h)))
    caption, regions = "There is", []
    for i, box in enumerate(boxes):
        name = names[order[i % len(names)]]
        phrase = f"{COLOURS[int(rng.integers(len(COLOURS)))]} {name}"
        caption += " a " if i == 0 else " and a "
        source = sources[i % len(sources)].format(seed=seed, i=i, name=name)
        regions.append(
            Region(
                phrase=phrase,
                label=name,
                box=box,
                span=(len(caption), len(caption) + len(phrase)),
                mask=masks.encode_mask(drawn == i),
                score=1.0,
                source=source,
            )
        )
        caption += phrase
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return Sample.captioned(
        id=id or f"tiny/{seed}",
        image=stream.getvalue(),
        size_hw=size_hw,
        caption=caption + ".",
        regions=tuple(regions),
    )


def tiny_views(sample: Sample, vlm: VLM) -> tuple[torch.Tensor, ...]:
    """The pixels of a sample's views, as the model wants them."""
    assert isinstance(sample.image, bytes)
    image = Image.open(io.BytesIO(sample.image)).convert("RGB")
    return tuple(view_pixels(image, vlm.token_grid(sample.size_hw).views, vlm.encoder))
