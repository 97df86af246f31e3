"""Near duplicates among millions of 64-bit perceptual hashes.

Two hashes at most `distance` bits apart are equal in at least one of `distance` + 1 bands of bits:
only hashes that share a band are compared (of a band that more than 4,096 distinct hashes share,
the first 4,096).
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

_LARGEST_BUCKET = 4096  # hashes of one band compared with each other, at most


def find_duplicates(hashes_N: np.ndarray, *, distance: int) -> dict[int, int]:
    """Index of each near duplicate -> index of the earlier image it resembles.

    Args:
        hashes_N: uint64.
        distance: Most bits that differ, 0 to 15.
    """
    values_U, first_U = np.unique(hashes_N, return_index=True)
    parent_U = np.arange(len(values_U))
    for one, other in _close_pairs(values_U, distance):
        one, other = _find_root(parent_U, one), _find_root(parent_U, other)
        older, newer = sorted((one, other), key=lambda u: first_U[u])
        parent_U[newer] = older
    root_U = np.array([_find_root(parent_U, u) for u in range(len(values_U))], dtype=int)
    original_N = first_U[root_U[np.searchsorted(values_U, hashes_N)]] if len(values_U) else []
    return {n: int(first) for n, first in enumerate(original_N) if n != first}


def _find_root(parent_U: np.ndarray, index: int) -> int:
    while parent_U[index] != index:
        parent_U[index] = parent_U[parent_U[index]]
        index = int(parent_U[index])
    return index


def _close_pairs(values_U: np.ndarray, distance: int) -> Iterator[tuple[int, int]]:
    """Indices of distinct hashes at most `distance` bits apart."""
    if not distance:
        return
    edges = np.linspace(0, 64, distance + 2).astype(int)
    for low, high in pairwise(edges):
        band_U = (values_U >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order_U = np.argsort(band_U, kind="stable")
        starts = np.flatnonzero(np.diff(band_U[order_U], prepend=band_U[order_U[:1]] + 1))
        for bucket in np.split(order_U, starts[1:]):
            yield from _pairs_within(bucket[:_LARGEST_BUCKET], values_U, distance)


def _pairs_within(bucket: np.ndarray, values_U: np.ndarray, distance: int) -> Iterator[tuple]:
    for position in range(len(bucket) - 1):
        rest = bucket[position + 1 :]
        bits = np.bitwise_count(values_U[rest] ^ values_U[bucket[position]])
        for other in rest[bits <= distance]:
            yield int(bucket[position]), int(other)
