"""A labeller whose vectors are known: the tiny encoder's patches, and drawn vectors of words."""

import torch
from tests.tiny import NAMES, TinyEncoder
from torch.nn.functional import normalize

from diglot.synth.patch_labels.word_labeller import WordLabeller


def word_labeller(words=NAMES, *, keep=3, sign=1) -> WordLabeller:
    encoder = TinyEncoder()
    torch.manual_seed(1)
    vectors = normalize(torch.randn(len(words), encoder.width), dim=1)

    @torch.no_grad()
    def patches(pixels: torch.Tensor) -> torch.Tensor:
        return normalize(encoder(pixels), dim=-1)

    return WordLabeller(
        encoder=encoder,
        patches=patches,
        words=words,
        pieces=lambda: [(0, vectors[:2]), (2, vectors[2:])],
        keep=keep,
        sign=sign,
        about={"labeller": "tiny", "sign": sign},
    )
