"""The seed of a random generator."""

from diglot.core.errors import ConfigError


def check_seed(seed: int, *, where: str = "seed") -> int:
    """The seed. Raises ConfigError for a negative one, which NumPy's generators do not take."""
    if seed < 0:
        raise ConfigError("a seed is not negative", expected="at least 0", got=seed, where=where)
    return seed
