"""The configuration of a model: its parts, how an image becomes views, and what learns.

It imports no model library, so that help is fast.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from diglot.config.parts import Part
from diglot.config.ranges import PositiveFloat, PositiveInt, ShareBelowOne, check_ranges
from diglot.config.read import expand_home
from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.files import refuse_missing_folder

Attention = Literal["split", "sdpa", "flex", "eager", "separate"]


class EncoderPart(Part):
    """A vision encoder: a file of models/encoders, or a module of the user's."""

    package = "diglot.models.encoders"
    where = "model.encoder"


class ProjectorPart(Part):
    """A projector: a file of models/projectors, or a module of the user's."""

    package = "diglot.models.projectors"
    where = "model.projector"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The fixed text around an image and its caption: [BOS] before V after caption [EOS]."""

    bos: bool = True
    """Begin with the BOS token; it keeps the first visual token from being the attention sink."""
    before: str = ""
    """Text before the image."""
    after: str = "\n"
    """Text between image and caption."""
    eos: bool = True
    """End with the EOS token, learned with the text."""


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """A language model by its checkpoint."""

    path: str = "embedded"
    """A local folder or a hub id; "embedded" is SmolLM2-135M-Instruct."""
    revision: str | None = None
    """Git revision of a hub id."""
    dtype: Literal["float32", "bfloat16", "float16", "fp32", "bf16", "fp16"] = "float32"
    """What its weights are kept in."""
    grid_positions: bool = False
    """Read an image's tokens at positions of rows and columns (M-RoPE), as Qwen2.5-VL does; text is
    read as before. For language models of Qwen2's design."""
    both_ways: Literal["image", "prefix"] | None = None
    """Whose tokens see each other both ways: image = an image's own (Gemma 3); prefix = all before
    the first learned word (PaliGemma, whose BOS is preprocess.marks.end: then one image opens each
    document); null = every token sees what is before it. Runs on a dense mask (attention: sdpa)."""

    def __post_init__(self) -> None:
        long = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
        object.__setattr__(self, "dtype", long.get(self.dtype, self.dtype))
        expand_home(self, "path")


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank updates of the language model's linear layers."""

    rank: PositiveInt = 32
    """Rank of the updates."""
    alpha: PositiveFloat = 64.0
    """The update is scaled by alpha / rank."""
    dropout: ShareBelowOne = 0.05
    """Share of the adapters' inputs that training drops."""
    targets: str = r".*\.(self_attn|mlp)\.\w+_proj"
    """Regular expression that the whole name of a layer inside the language model must match."""
    extra: dict[str, Any] = field(default_factory=dict)
    """More fields of peft's LoraConfig, such as use_rslora."""

    def __post_init__(self) -> None:
        check_ranges(self, where="trainable.lora")
        try:
            re.compile(self.targets)
        except re.error as error:
            raise ConfigError(
                f"no regular expression: {error}", got=self.targets, where="trainable.lora.targets"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Trainable:
    """Which parts learn. Pretraining: the projector alone."""

    projector: bool = True
    """The projector learns."""
    language: bool = False
    """The language model learns."""
    encoder: bool = False
    """The vision encoder learns."""
    lora: LoraConfig | None = None
    """Learn low-rank updates of the language model, which else stays as it is. null = none."""

    def __post_init__(self) -> None:
        if self.lora and self.language:
            raise ConfigError(
                "the language model learns in full or by LoRA, not both",
                where="trainable.language, trainable.lora",
            )


@dataclass(frozen=True, kw_only=True)
class VLMConfig:
    """The three parts and how an image becomes views."""

    encoder: EncoderPart = field(default_factory=lambda: EncoderPart("efficientnet_lite0"))
    """The vision encoder."""
    projector: ProjectorPart = field(default_factory=lambda: ProjectorPart("mlp"))
    """What maps the encoder's features to the language model's width."""
    language: LanguageConfig = field(default_factory=LanguageConfig)
    """The language model."""
    preprocess: Preprocess | None = None
    """How an image becomes views; left out, it is squashed to the encoder's own size."""
    stock: str | None = None
    """A stock vision-language checkpoint, a folder or hub id, that all parts are taken from (llava,
    llava_next, llava_onevision, aya_vision, cohere2_vision, lfm2_vl, internvl, idefics3, smolvlm,
    paligemma, gemma3, qwen2_5_vl, qwen3_vl, qwen3_vl_moe, fast_vlm);
    then encoder and projector stay unset, preprocess too but to prepare images otherwise than the
    checkpoint's own processor, and of the language model only dtype and revision count."""
    attention: Attention = "split"
    """How the one attention rule is computed: split = causal trunks, then the branch tokens;
    sdpa = one dense mask over a row; flex = FlexAttention (trains on CUDA only); eager = the dense
    mask in the model's own attention, for models that cap its scores (Gemma 2); separate = a plain
    forward for each document and branch, slow and right for any causal LM. The numbers are the
    same; a form that the language model does not honour gives way to the next that it does, in one
    line."""

    def __post_init__(self) -> None:
        read_parts(self, encoder=EncoderPart, projector=ProjectorPart)
        expand_home(self, "stock")


def check_model_paths(config: VLMConfig) -> None:
    """Raises ConfigError where a part's folder is meant and not there; loads nothing."""
    if config.stock:
        refuse_missing_folder(config.stock, "stock")
        return
    refuse_missing_folder(config.language.path, "language.path")
    if path := config.encoder.settings.get("path"):
        refuse_missing_folder(str(path), "encoder.path")


def read_parts(config: Any, **kinds: type[Part]) -> None:
    """Make parts of the names and mappings that a frozen dataclass was given for them."""
    for name, kind in kinds.items():
        object.__setattr__(config, name, kind.read(getattr(config, name)))
