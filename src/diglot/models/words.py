"""A label as a vector among the words: the mean of its sub-tokens' input embeddings.

Source: Patch-aligned Eq. 2; SEA Eq. 10. Neither says whether a label is tokenised with the space
that stands before a word inside a text; see `label_ids`.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import torch
from torch.nn.functional import embedding_bag
from transformers import PreTrainedTokenizerFast

from diglot.core.spans import token_slice
from diglot.models.language import Language
from diglot.models.prompt import tokenize_caption

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
        return tokenize_caption(text, tokenizer).ids
    whole = tokenize_caption(_BEFORE + text, tokenizer)
    inside = token_slice(whole.offsets_T2, (len(_BEFORE), len(_BEFORE) + len(text)))
    return whole.ids[slice(*inside)] if inside else ()


@torch.no_grad()
def label_vectors(labels: Iterable[str], language: Language) -> dict[str, torch.Tensor]:
    """Each label's word vector, float32 (D,); zeros for a label of blanks."""
    weight_VD = language.input_embeddings.weight
    vectors = {}
    for label in labels:
        ids = list(label_ids(label, language.tokenizer))
        vectors[label] = weight_VD[ids].float().mean(dim=0) if ids else weight_VD[0].float() * 0
    return vectors


def label_means(words_VD: torch.Tensor, ids: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """The mean embedding of each label's tokens (L, D), as `row_means` gives it."""
    stacked = np.array([*chain.from_iterable(ids)], dtype=np.int64)
    return row_means(words_VD, stacked, [len(of_label) for of_label in ids])


def row_means(table_ND: torch.Tensor, index_K: np.ndarray, sizes: Sequence[int]) -> torch.Tensor:
    """Means of rows of a table (L, D): of the first sizes[0] rows indexed, of the next sizes[1]...

    In float32 (float64 if the table is); zeros for a mean over nothing. Carries gradient to the
    table.
    """
    used, inverse = np.unique(index_K, return_inverse=True)
    starts = np.cumsum([0, *sizes])[:-1]
    on_device = [torch.from_numpy(x).to(table_ND.device) for x in (used, inverse, starts)]
    # only the rows in use: a vocabulary is large, and may be in half precision
    rows = table_ND[on_device[0]].to(torch.promote_types(table_ND.dtype, torch.float32))
    return embedding_bag(on_device[1], rows, on_device[2], mode="mean")
