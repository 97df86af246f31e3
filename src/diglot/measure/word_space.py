"""The LLM's words as vectors: every sub-token, and a list of whole words.

Sources: Patch-aligned Eq. 2 (a label is the mean of its sub-tokens' embeddings); SEA Eq. 5 (Psi(w)
over a list of words). The vectors are what enters the LLM: where the embedding scales its weights,
as Gemma's does, they are scaled. They are the checkpoint's own, so after tuning the tuned ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.models.language import Language
from diglot.models.words import label_ids, label_means

_WORD = re.compile(r"[^\W\d_][^\W\d_'-]*")


@dataclass(frozen=True)
class WordSpace:
    """Sub-tokens (V, D) and listed words (W, D), float32 arrays, with their texts."""

    token_VD: np.ndarray
    words: tuple[str, ...]
    word_WD: np.ndarray
    language: Language

    def token_text(self, token: int) -> str:
        """A sub-token as it reads in a text."""
        text: Any = self.language.tokenizer.decode([token])
        return text


@torch.no_grad()
def open_words(language: Language, words: Sequence[str]) -> WordSpace:
    """The space of a language model and a list of words; words without a token are left out."""
    tokens = torch.arange(
        language.input_embeddings.num_embeddings, device=language.input_embeddings.weight.device
    )
    token_VD = language.input_embeddings(tokens).float()
    listed = {word: label_ids(word, language.tokenizer) for word in words}
    listed = {word: ids for word, ids in listed.items() if ids}
    word_WD = label_means(token_VD, list(listed.values()))
    return WordSpace(token_VD.cpu().numpy(), tuple(listed), word_WD.cpu().numpy(), language)


def caption_words(samples: Sequence[Sample], names: Sequence[str]) -> list[str]:
    """All names, and every word of the samples' captions in lower case, sorted."""
    found = {word.lower() for sample in samples for word in _WORD.findall(sample.caption)}
    return sorted({*names, *found})


def read_word_list(path: Path) -> list[str]:
    """The words of a text file, one a line. Raises ConfigError where it holds none."""
    try:
        words = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"no readable word list: {error}", where=str(path)) from error
    kept = list(dict.fromkeys(word for word in words if word))
    if not kept:
        raise ConfigError("an empty word list", expected="one word a line", where=str(path))
    return kept
