"""The word vectors with the largest cosine of every token, over a vocabulary in blocks.

A block of words at a time is brought to length 1, so that memory is one block and its products,
whatever the vocabulary. Words are found in float32, which may take one of two words for the other
where their products differ by a millionth; the products of those found are float64.
Legend: P visual tokens, W words, D width, K nearest.
"""

from collections.abc import Iterator

import numpy as np

from diglot.metrics.tacs import unit_rows

BLOCK_WORDS = 4096


def unit_blocks(word_WD: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of the words at length 1, float32, each with the index of its first word."""
    for start in range(0, len(word_WD), BLOCK_WORDS):
        block_BD = np.asarray(word_WD[start : start + BLOCK_WORDS], np.float32)
        length_B1 = np.sqrt(np.einsum("bd,bd->b", block_BD, block_BD))[:, None]
        yield (
            start,
            np.divide(block_BD, length_B1, out=np.zeros_like(block_BD), where=length_B1 > 0),
        )


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
    index_PK = _find_words(unit_rows(token_PD).astype(np.float32), word_WD, k)
    found = [unit_rows(word_WD[index_P]) for index_P in index_PK.T]
    product_PK = np.stack([np.einsum("pd,pd->p", token_PD, atom_PD) for atom_PD in found], axis=1)
    order_PK = np.lexsort((index_PK, -product_PK), axis=1)
    index_PK, product_PK = (np.take_along_axis(x, order_PK, axis=1) for x in (index_PK, product_PK))
    return index_PK, product_PK


def _find_words(unit_PD: np.ndarray, word_WD: np.ndarray, k: int) -> np.ndarray:
    """The indices of the k words with the largest cosine (P, K), in float32."""
    index_PK = np.zeros((len(unit_PD), 0), np.int64)
    best_PK = np.zeros((len(unit_PD), 0), np.float32)
    for start, atom_BD in unit_blocks(word_WD):
        product_PB = unit_PD @ atom_BD.T
        of_block_PK = _largest_columns(product_PB, k)
        products_PK = np.take_along_axis(product_PB, of_block_PK, axis=1)
        # what was best before stands first, so that it is kept among equals
        both, numbers = (
            np.hstack([best_PK, products_PK]),
            np.hstack([index_PK, start + of_block_PK]),
        )
        order_PK = _largest_columns(both, k)
        best_PK = np.take_along_axis(both, order_PK, axis=1)
        index_PK = np.take_along_axis(numbers, order_PK, axis=1)
    return index_PK


def _largest_columns(value_PW: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest values of every row, largest first, of equals the first."""
    columns = [value_PW.argmax(axis=1)]
    rest_PW, rows = value_PW.copy() if k > 1 else value_PW, np.arange(len(value_PW))
    for _ in range(min(k, value_PW.shape[1]) - 1):
        rest_PW[rows, columns[-1]] = -np.inf
        columns.append(rest_PW.argmax(axis=1))
    return np.stack(columns, axis=1)
