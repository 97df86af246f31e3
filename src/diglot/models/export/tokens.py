"""The image token in the tokenizer, and a row for it among the language model's words.

Where the vocabulary has free rows behind the tokenizer's last entry, as in many released models,
one is taken; else embedding and head grow by a row each, the mean of the others: a logit that no
word of sense stays below. Generation suppresses the token besides.
"""

import copy
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from diglot.models.export.container import State
from diglot.models.language import Language


def add_tokens(tokenizer: PreTrainedTokenizerFast, tokens: list[str]) -> PreTrainedTokenizerFast:
    """A copy of the tokenizer that knows `tokens` as special tokens."""
    grown = copy.deepcopy(tokenizer)
    grown.add_tokens(tokens, special_tokens=True)
    return grown


def language_state(language: Language, rows: int) -> tuple[State, State]:
    """The decoder's weights under their own names, and the head's, with `rows` words at least."""
    model: Any = language.model
    decoder = {name: value.detach() for name, value in language.decoder.state_dict().items()}
    head = {name: value.detach() for name, value in language.head_matrix.state_dict().items()}
    words = next(
        n for n, v in decoder.items() if v.data_ptr() == language.input_embeddings.weight.data_ptr()
    )
    decoder[words] = grow_rows(decoder[words], rows)
    if model.config.get_text_config().tie_word_embeddings:
        head["weight"] = decoder[words]
    else:
        head["weight"] = grow_rows(head["weight"], rows)
    return decoder, head


def grow_rows(table_VD: torch.Tensor, rows: int) -> torch.Tensor:
    """The table with `rows` rows at least; new ones are the mean of the others."""
    missing = rows - len(table_VD)
    if missing <= 0:
        return table_VD
    mean = table_VD.float().mean(0, keepdim=True).to(table_VD.dtype)
    return torch.cat([table_VD, mean.expand(missing, -1)])
