"""The word vectors with the largest cosine of every token, over a vocabulary in blocks.

A block of words at a time is brought to length 1 in float64, so that memory is one block and its
products, whatever the vocabulary. Legend: P visual tokens, W words, D width, K nearest.
"""

from collections.abc import Iterator

import numpy as np

from diglot.metrics.tacs import unit_rows

BLOCK_WORDS = 4096


def unit_blocks(word_WD: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of the words at length 1, float64, each with the index of its first word."""
    for start in range(0, len(word_WD), BLOCK_WORDS):
        yield start, unit_rows(word_WD[start : start + BLOCK_WORDS])


def largest_products(
    token_PD: np.ndarray, word_WD: np.ndarray, *, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The k words at length 1 with the largest product with every token, largest first.

    Their indices int64 (P, K) and products float64 (P, K), K at most the number of words; of equal
    products the first word. Raises ValueError without words or for k < 1.
    """
    if not len(word_WD) or k < 1:
        raise ValueError(f"needs words and k, got {len(word_WD)} words and {k}")
    token_PD = np.asarray(token_PD, np.float64)
    index_PK = np.zeros((len(token_PD), 0), np.int64)
    best_PK = np.zeros((len(token_PD), 0))
    for start, atom_BD in unit_blocks(word_WD):
        product_PB = token_PD @ atom_BD.T
        number_PB = np.broadcast_to(np.arange(start, start + len(atom_BD)), product_PB.shape)
        # what was best before stands first, so that it is kept among equals
        both, numbers = np.hstack([best_PK, product_PB]), np.hstack([index_PK, number_PB])
        order_PK = _largest_columns(both, k)
        best_PK = np.take_along_axis(both, order_PK, axis=1)
        index_PK = np.take_along_axis(numbers, order_PK, axis=1)
    return index_PK, best_PK


def _largest_columns(value_PW: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest values of every row, largest first, of equals the first."""
    rest_PW, rows = value_PW.copy(), np.arange(len(value_PW))
    columns = []
    for _ in range(min(k, value_PW.shape[1])):
        columns.append(rest_PW.argmax(axis=1))
        rest_PW[rows, columns[-1]] = -np.inf
    return np.stack(columns, axis=1)
