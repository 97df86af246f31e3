"""A label as a vector among the words: the mean of its sub-tokens' input embeddings.

Source: Patch-aligned Eq. 2; SEA Eq. 10. Neither says whether a label is tokenised with the space
that stands before a word inside a text; see `label_ids`.
"""

from collections.abc import Sequence
from itertools import accumulate, chain

import torch
from torch.nn.functional import embedding_bag
from transformers import PreTrainedTokenizerFast

from diglot.core.spans import token_slice
from diglot.models.prompt import tokenize

_BEFORE = "a "  # any short word; its own tokens are left out


def label_ids(
    text: str, tokenizer: PreTrainedTokenizerFast, *, leading_space: bool = True
) -> tuple[int, ...]:
    """The tokens of a label; empty for one of blanks.

    `leading_space`: as the label stands inside a caption, behind another word (" dog" of byte-level
    BPE, "▁dog" of SentencePiece, which makes that space by itself and would take a second one for a
    token of its own); else as at the beginning of a text. A space that is a token by itself is no
    part of the label.
    """
    text = text.strip()
    if not leading_space:
        return tokenize(text, tokenizer).ids
    whole = tokenize(_BEFORE + text, tokenizer)
    inside = token_slice(whole.offsets_T2, (len(_BEFORE), len(_BEFORE) + len(text)))
    return whole.ids[slice(*inside)] if inside else ()


def label_means(words_VD: torch.Tensor, ids: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """The mean embedding of each label's tokens (L, D), in float32 (float64 if the words are).

    Zeros for a label without tokens. Carries gradient to `words_VD` where that learns.
    """
    device = words_VD.device
    used, inverse = torch.tensor([*chain.from_iterable(ids)], dtype=torch.long).unique(
        return_inverse=True
    )
    starts = torch.tensor([*accumulate(map(len, ids), initial=0)][:-1], dtype=torch.long)
    dtype = torch.promote_types(words_VD.dtype, torch.float32)
    table = words_VD[used.to(device)].to(dtype)  # only the rows in use: V may be 150 000
    return embedding_bag(inverse.to(device), table, starts.to(device), mode="mean")
