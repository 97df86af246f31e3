"""Pairs of an image and a text tower of `transformers` in one space: CLIP, SigLIP, SigLIP2.

SEA does not specify how it takes patch features. Here every patch passes what the tower's own
image vector passes before it is compared with text vectors: the final norm, then CLIP's
projection, or SigLIP's pooling head, which is given one patch at a time (attention over one token
is its value). `patch` names what passes these:

- token  the patch's token of the last layer: the paper's reading, which needs the sign -1 for CLIP.
- value  the last layer's value of the patch, attention left out (MaskCLIP, Zhou et al. 2022): for
         CLIP the reading in which patches and words agree without a sign.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError
from diglot.models.encoder import Encoder
from diglot.models.pretrained import load_pretrained, read_pretrained

Family = Literal["clip", "siglip", "siglip2"]
Patch = Literal["token", "value"]


@dataclass
class Towers:
    """Vectors of patches and of words, all of length 1."""

    encoder: Encoder
    model: Any
    tokenizer: Any
    family: Family
    template: str  # around each word, where "{}" stands
    patch: Patch = "token"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    @property
    def lower_case(self) -> bool:
        """Was the text tower trained on lower-cased text alone? CLIP's tokenizer does it itself."""
        return self.family != "clip"

    @property
    def width(self) -> int:
        """C, channels of the joint space."""
        if self.family == "clip":
            return self.model.config.projection_dim
        return self.model.config.vision_config.hidden_size

    @torch.no_grad()
    def patches(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """Unit vectors of every patch, float32 (V, h, w, C)."""
        tower = self.model.vision_model
        features = self.encoder(pixels_V3HW.to(self.device))
        if self.patch == "value":
            last = tower.encoder.layers[-1]
            attention = last.self_attn
            features = attention.out_proj(attention.v_proj(last.layer_norm1(features)))
        return normalize(self._join_space(tower.post_layernorm(features)).float(), dim=-1)

    def _join_space(self, features: torch.Tensor) -> torch.Tensor:
        """Into the space of the text vectors, each patch by itself."""
        if self.family == "clip":
            return self.model.visual_projection(features)
        alone = features.reshape(-1, 1, features.shape[-1])
        return self.model.vision_model.head(alone).reshape(features.shape)

    @torch.no_grad()
    def words(self, words: list[str]) -> torch.Tensor:
        """Unit vectors of the words, float32 (W, C)."""
        texts = [self.template.replace("{}", word) for word in words]
        if self.lower_case:  # not every tokenizer of theirs does it itself (SigLIP2's is Gemma's)
            texts = [text.lower() for text in texts]
        max_length = self.model.config.text_config.max_position_embeddings
        # SigLIP was trained on texts padded to full length, and reads the padding
        padding = True if self.family == "clip" else "max_length"
        encoded = self.tokenizer(
            texts, padding=padding, truncation=True, max_length=max_length, return_tensors="pt"
        ).to(self.device)
        mask = {"attention_mask": encoded["attention_mask"]} if self.family == "clip" else {}
        out = self.model.text_model(input_ids=encoded["input_ids"], **mask).pooler_output
        if self.family == "clip":
            out = self.model.text_projection(out)
        return normalize(out.float(), dim=-1)


def load_towers(
    family: Family,
    path: str,
    *,
    revision: str | None = None,
    template: str = "{}",
    patch: Patch = "token",
) -> Towers:
    """Both towers of a checkpoint. Raises ConfigError for another family, or a tower alone."""
    layer = -1 if patch == "token" else -2  # the input of the last layer
    part = {"name": family, "path": path, "layer": layer, "revision": revision}
    encoder: Any = build_part("diglot.models.encoders", part, where="labeller")
    model: Any = load_pretrained(AutoModel, path, where="path", revision=revision).eval()
    if not hasattr(model, "text_model"):
        raise ConfigError("the checkpoint has no text tower", got=path, where="path")
    model.vision_model = encoder.tower  # the same weights, once
    tokenizer = _load_tokenizer(path, revision)
    return Towers(encoder, model, tokenizer, family, template, patch)


def _load_tokenizer(path: str, revision: str | None) -> Any:
    try:
        return read_pretrained(AutoTokenizer, path, where="path", revision=revision)
    except ImportError as error:  # SigLIP's needs sentencepiece
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"the tokenizer needs a package: {reason}", where=path) from error
