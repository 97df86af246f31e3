"""Seeds, and random generators made from them."""

import hashlib

import torch

from diglot.core.errors import ConfigError


def check_seed(seed: int, *, where: str = "seed") -> int:
    """The seed. Raises ConfigError for a negative one, which NumPy's generators do not take."""
    if seed < 0:
        raise ConfigError("a seed is not negative", expected="at least 0", got=seed, where=where)
    return seed


def seeded_generator(*key: object) -> torch.Generator:
    """A generator seeded by the values of `key`: the same on every machine and in every process."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
