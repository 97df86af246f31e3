"""Special tokens that a language model's vocabulary lacks, each with a row that starts as the mean.

The start is the same in every run, so that a checkpoint need not hold a frozen language model.
"""

from collections.abc import Sequence
from typing import Any

import torch

from diglot.models.language import Language


@torch.no_grad()
def add_new_tokens(language: Language, tokens: Sequence[str]) -> None:
    """Make `tokens` special tokens of the model; those it has already stay as they are.

    A row behind the tokenizer's last entry is taken where the matrix has one, else it grows.
    """
    tokenizer: Any = language.tokenizer
    rows = len(tokenizer)
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    if len(tokenizer) == rows:
        return
    # a tokenizer may have had more entries than the matrix has rows: those are new rows as well
    added = range(min(rows, language.input_embeddings.num_embeddings), len(tokenizer))
    model: Any = language.model
    tables = [language.input_embeddings.weight.float().mean(0), _head_matrix(model).float().mean(0)]
    if added.stop > language.input_embeddings.num_embeddings:
        model.resize_token_embeddings(added.stop, mean_resizing=False)
    language.input_embeddings.weight[added.start : added.stop] = tables[0].to(
        language.input_embeddings.weight.dtype
    )
    if not model.config.get_text_config().tie_word_embeddings:
        _head_matrix(model)[added.start : added.stop] = tables[1].to(_head_matrix(model).dtype)


def _head_matrix(model: Any) -> torch.Tensor:
    """The head's matrix (V, D)."""
    return model.get_output_embeddings().weight
