"""Pairs of an image and a text tower of `transformers` in one space: CLIP, SigLIP, SigLIP2.

A patch is its token of the last layer, after the tower's final norm; CLIP's goes through the
projection that its class token goes through. SEA does not say how it takes patch features; this is
the reading in which image and text tower meet without anything learned anew. SigLIP has no
projection, and its pooling head is left out: it mixes all patches into one.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from diglot.core.plugin import build_part
from diglot.models.encoder import Encoder
from diglot.models.pretrained import load_pretrained, reading

Family = Literal["clip", "siglip", "siglip2"]


@dataclass
class Towers:
    """Vectors of patches and of words, all of length 1."""

    encoder: Encoder
    model: Any
    tokenizer: Any
    family: Family
    template: str  # around each word, where "{}" stands

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """C, channels of the joint space."""
        if self.family == "clip":
            return self.model.config.projection_dim
        return self.model.config.vision_config.hidden_size

    @torch.no_grad()
    def patches(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        """(V, h, w, C)."""
        tower = self.model.vision_model
        features = tower.post_layernorm(self.encoder(pixels_V3HW.to(self.device)))
        if self.family == "clip":
            features = self.model.visual_projection(features)
        return normalize(features.float(), dim=-1)

    @torch.no_grad()
    def words(self, words: list[str]) -> torch.Tensor:
        """(W, C)."""
        texts = [self.template.replace("{}", word) for word in words]
        longest = self.model.config.text_config.max_position_embeddings
        # SigLIP was trained on texts padded to full length, and reads the padding
        padding = True if self.family == "clip" else "max_length"
        told = self.tokenizer(
            texts, padding=padding, truncation=True, max_length=longest, return_tensors="pt"
        ).to(self.device)
        mask = {"attention_mask": told["attention_mask"]} if self.family == "clip" else {}
        out = self.model.text_model(input_ids=told["input_ids"], **mask).pooler_output
        if self.family == "clip":
            out = self.model.text_projection(out)
        return normalize(out.float(), dim=-1)


def load_towers(
    family: Family, path: str, *, revision: str | None = None, template: str = "{}"
) -> Towers:
    """Both towers of a checkpoint. Raises ConfigError for another family, or a tower alone."""
    part = {"name": family, "path": path, "layer": -1, "revision": revision}
    encoder: Any = build_part("diglot.models.encoders", part, where="labeller")
    tokenizer = reading(
        lambda: AutoTokenizer.from_pretrained(path, revision=revision), path=path, where="path"
    )
    model: Any = load_pretrained(AutoModel, path, where="path", revision=revision).eval()
    model.vision_model = encoder.tower  # the same weights, once
    return Towers(encoder, model, tokenizer, family, template)
