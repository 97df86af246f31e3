"""Names as the LLM writes and reads them."""

from collections.abc import Iterable

import torch

from diglot.models.language import Language
from diglot.models.prompt import tokenize


def name_ids(name: str, language: Language) -> tuple[int, ...]:
    """The tokens of a name in running text, so with the space before it."""
    return tokenize(f" {name.strip()}", language.tokenizer).ids


def name_vectors(names: Iterable[str], language: Language) -> dict[str, torch.Tensor]:
    """Each name's word vector, float32 (D,): the mean of its sub-tokens' input embeddings."""
    weight = language.words.weight.detach()
    return {name: weight[list(name_ids(name, language))].float().mean(dim=0) for name in names}
