"""A stock vision-language checkpoint of `transformers` taken apart: encoder, projector, LLM.

The parts are the stock model's own modules, so what is not trained goes out again to the bit.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
    Qwen3MoeForCausalLM,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from diglot.core.errors import ConfigError
from diglot.core.merging import Unshuffle
from diglot.core.preprocess import Preprocess
from diglot.models.adapters.images import StockImages, read_images
from diglot.models.adapters.marks import QWEN, read_marks, write_image
from diglot.models.adapters.names import (
    WHERE,
    StockNames,
    Takes,
    find_names,
    merge_factor,
)
from diglot.models.adapters.qwen_vl import qwen_encoder
from diglot.models.adapters.timm_tower import TimmTower
from diglot.models.encoder import unshuffle_cells
from diglot.models.encoders._tower import Tower, TowerConfig
from diglot.models.encoders.dinov2 import Dinov2
from diglot.models.encoders.qwen2_5_vl import Qwen25ViT
from diglot.models.encoders.siglip2 import Siglip2, set_trained_size
from diglot.models.language import Language
from diglot.models.logits import CAPS, DIVISORS, FACTORS
from diglot.models.pretrained import OwnCodeError, load_pretrained, read_pretrained
from diglot.models.prompt import set_image_text
from diglot.models.visual_rules import VisualRule

CLASS_TOKEN = ("clip_vision_model", "dinov2", "internvl_vision")  # one token before the patches
TOWERS: dict[str, type[Tower]] = {
    "dinov2": Dinov2,
    "internvl_vision": Dinov2,  # it interpolates its positions by itself too
    "siglip2_vision_model": Siglip2,
}
# Decoders without a causal LM of their own: the shell whose decoder and head take their places.
SHELLS: dict[str, Any] = {
    "qwen2_5_vl_text": Qwen2ForCausalLM,
    "qwen3_vl_text": Qwen3ForCausalLM,
    "qwen3_vl_moe_text": Qwen3MoeForCausalLM,
}


@dataclass(frozen=True)
class StockParts:
    """The encoder, projector and LLM of a stock checkpoint, as the parts of a `VLM`."""

    encoder: Tower | Qwen25ViT | TimmTower
    projector: nn.Module
    language: Language
    preprocess: Preprocess
    rule: VisualRule


class StockProjector(nn.Module):
    """A stock projector, which gets each block of f x f features by itself.

    `extra` are the stock model's weights beside its three parts, such as `image_newline`; `deep`
    are projectors of further features, which lie behind the first in the channels, as their tokens
    do behind the first ones.
    """

    def __init__(
        self,
        stock: nn.Module,
        factor: int,
        extra: dict[str, nn.Parameter],
        takes: Takes = "blocks",
        deep: Iterable[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.deep = nn.ModuleList(deep)
        self.stock, self.merging, self.takes = stock, Unshuffle(factor), takes
        self.extra = nn.ParameterDict(extra)

    @property
    def separators(self) -> torch.Tensor | None:
        """The learned vectors between tokens (K, D): LLaVA-NeXT's newline, if it has one."""
        newline = self.extra.get("image_newline", None)
        return None if newline is None else newline[None]

    @torch.no_grad()
    def shuffle_weights(self, generator: torch.Generator) -> None:
        """Put the numbers of every weight, but those of `extra`, in another order."""
        for weight in (*self.stock.parameters(), *self.deep.parameters()):
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))

    def forward(self, features_VhwE: torch.Tensor) -> torch.Tensor:
        levels = features_VhwE.chunk(1 + len(self.deep), dim=-1)
        tokens = [
            self._map_view(stock, level_VhwE)
            for stock, level_VhwE in zip((self.stock, *self.deep), levels, strict=True)
        ]
        return torch.cat(tokens, dim=-1)

    def _map_view(self, stock: nn.Module, features_VhwE: torch.Tensor) -> torch.Tensor:
        merged_VrcE = unshuffle_cells(features_VhwE, self.merging.factor)
        tokens_ND = self._map_blocks(stock, merged_VrcE.flatten(0, 2))
        return tokens_ND.unflatten(0, merged_VrcE.shape[:3])

    def _map_blocks(self, stock: Any, merged_NE: torch.Tensor) -> torch.Tensor:
        factor = self.merging.factor
        if self.takes == "merged" or (factor == 1 and self.takes == "blocks"):
            return stock(merged_NE)
        width = merged_NE.shape[1] // factor**2
        shape = (factor, factor) if self.takes == "grids" else (factor**2,)
        blocks = merged_NE.reshape(len(merged_NE), *shape, width)
        if self.takes == "mean":  # Gemma 3 pools a whole view of one size
            pooled_NE = stock.mm_soft_emb_norm(blocks.mean(1))
            return pooled_NE @ stock.mm_input_projection_weight
        return stock(blocks).reshape(len(merged_NE), -1)  # one token of each block


def stock_state(
    names: StockNames, tower: nn.Module, projector: Any, language: Language
) -> dict[str, torch.Tensor]:
    """The weights of the parts under the stock model's names."""
    model: Any = language.model
    parts = {
        f"model.{names.tower}.": tower.state_dict(),
        f"model.{names.projector}.": projector.stock.state_dict(),
        f"model.{names.text}.": model.base_model.state_dict(),
        "lm_head.": language.head_matrix.state_dict(),
        "model.": projector.extra.state_dict(),
        f"model.{names.deep}.": projector.deep.state_dict(),
    }
    return {at + name: value for at, part in parts.items() for name, value in part.items()}


def is_stock(path: str, revision: str | None = None) -> bool:
    """Whether a checkpoint is a stock vision-language model; opening it says if that is known.

    Raises ConfigError for one that needs code of its own.
    """
    try:
        kind = read_pretrained(AutoConfig, path, where=WHERE, revision=revision).model_type
        return kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    except OwnCodeError:
        raise
    except ConfigError:
        return False


def open_stock(
    path: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    preprocess: Preprocess | None = None,
) -> StockParts:
    """The parts of a checkpoint; `preprocess` takes the place of its own way of preparing images.

    Raises ConfigError for one that is missing or not known here.
    """
    config = read_pretrained(AutoConfig, path, where=WHERE, revision=revision)
    names = find_names(config)
    images = read_images(path, revision)
    tokenizer = read_pretrained(AutoTokenizer, path, where=WHERE, revision=revision)
    set_image_text(tokenizer, write_image(config.model_type, tokenizer))
    model = load_pretrained(
        AutoModelForImageTextToText,
        path,
        where=WHERE,
        revision=revision,
        dtype=getattr(torch, dtype),
    )
    preprocess = preprocess or stock_preprocess(config, images, path, revision, tokenizer)
    _check_joining(config, preprocess)
    inner = model.model
    projector = _wrap_projector(config, inner, names)  # before the tower is cut off from it
    tower = inner.get_submodule(names.tower)
    return StockParts(
        encoder=_wrap_encoder(path, revision, config, tower, names, images),
        projector=projector,
        language=_wrap_language(model, getattr(inner, names.text), tokenizer, names),
        preprocess=preprocess,
        rule=names.rule,
    )


def stock_preprocess(
    config: Any, images: StockImages, path: str, revision: str | None, tokenizer: Any
) -> Preprocess:
    """How a checkpoint's own processor prepares images, and what it writes between their views."""
    marks = read_marks(config.model_type, path, revision, tokenizer)
    return replace(images.preprocess, marks=marks)


def _check_joining(config: Any, preprocess: Preprocess) -> None:
    """LlavaOnevision shrinks joined tiles of more than 1.21 times its number, which we do not."""
    if config.model_type != "llava_onevision":
        return
    most = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
    tiles = max(rows * columns for rows, columns in preprocess.tile_grids)
    if tiles > 1.21 * most:
        raise ConfigError(
            f"it shrinks the joined tiles of an image where there are more than {1.21 * most:.0f}",
            expected=f"at most {int(1.21 * most)} tiles in every grid",
            got=tiles,
            where="model.preprocess.tile_grids",
            fix="Set preprocess: {mode: anyres, image_px: N, tile_grids: [...]} with fewer.",
        )


def _wrap_projector(config: Any, inner: nn.Module, names: StockNames) -> StockProjector:
    deep: Any = inner.get_submodule(names.deep) if names.deep else ()
    return StockProjector(
        inner.get_submodule(names.projector),
        merge_factor(config, names),
        dict(inner.named_parameters(recurse=False)),
        names.takes,
        deep,
    )


def _wrap_encoder(
    path: str, revision: str | None, config: Any, tower: Any, names: StockNames, images: StockImages
) -> Tower | Qwen25ViT | TimmTower:
    if config.model_type in QWEN:
        return qwen_encoder(config.model_type, path, revision, tower, images)
    if config.model_type == "fast_vlm":
        return TimmTower(path, revision, tower, images)
    layer = "last" if names.reads_last else config.vision_feature_layer
    if config.model_type == "internvl" and layer == -1:
        layer = "last"  # its -1 is the state behind the norm
    if isinstance(layer, list):
        raise ConfigError("several vision layers at once", got=layer, where=WHERE)
    kind = tower.config.model_type
    drops_first = getattr(config, "vision_feature_select_strategy", "full") == "default"
    if drops_first != (kind in CLASS_TOKEN):
        raise ConfigError(
            f"a {kind} tower whose class token enters the language model, or that loses a patch",
            where=WHERE,
        )
    settings = TowerConfig(path=path, layer=layer, revision=revision)
    if kind == "siglip2_vision_model":
        set_trained_size(tower.config)
    return TOWERS.get(kind, Tower)(
        settings,
        tower,
        prefix_tokens=int(drops_first),
        mean=images.mean,
        std=images.std,
        resample=images.resample,
    )


def _wrap_language(model: Any, decoder: nn.Module, tokenizer: Any, names: StockNames) -> Language:
    """Decoder and head as a causal LM: the stock modules themselves, nothing copied."""
    text: Any = decoder.config
    config = text if names.caps_logits else _with_plain_head(text)
    with torch.device("meta"):
        causal = _make_shell(config)
    setattr(causal, causal.base_model_prefix, decoder)
    causal.set_output_embeddings(model.lm_head)
    causal.generation_config = model.generation_config
    return Language(causal.eval(), tokenizer)


def _make_shell(config: Any) -> Any:
    """A causal LM with this config, whose decoder and head are put in."""
    shell = SHELLS.get(config.model_type)
    if shell is None:
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    causal = shell(shell.config_class(num_hidden_layers=1))
    causal.config = config
    return causal


def _with_plain_head(config: Any) -> Any:
    """The decoder's config without what its causal LM does to logits: the stock class does none."""
    plain = copy.deepcopy(config)
    for name in (*FACTORS, *DIVISORS, *CAPS):
        if getattr(plain, name, None) is not None:
            setattr(plain, name, None if name in CAPS else 1.0)
    return plain
