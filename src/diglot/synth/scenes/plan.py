"""What a scene will show, before any place is chosen: kinds, pictures, sizes, colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from diglot.core.errors import ConfigError, DataError
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.pools import Pool, Side
from diglot.synth.scenes.tint import COLOURS


@dataclass(frozen=True, kw_only=True)
class PlannedObject:
    """One object to come: which picture, how large, and the attributes it is given."""

    name: str
    pool: Pool
    key: str  # the pool's key of the picture
    size_px: int  # longest side
    size_word: str | None = None  # "small" or "large"
    colour: str | None = None  # a key of tint.COLOURS

    @property
    def phrase(self) -> str:
        """The words for it, without an article: "small red car"."""
        return " ".join(word for word in (self.size_word, self.colour, self.name) if word)


@dataclass(frozen=True, kw_only=True)
class ScenePlan:
    """A scene to come. `apart_by`: what distinguishes the two objects of a repeated kind."""

    objects: tuple[PlannedObject, ...]
    apart_by: str | None = None  # size, place or colour; objects 0 and 1 are of one kind


class Planner:
    """Draws plans for one split, keeping to what the settings hold out of it.

    | split | pictures | kinds held out | pairs held out |
    |---|---|---|---|
    | train | training side | never | never |
    | test | held-out side | never | never |
    | test_names | held-out side | at least one in a scene | never |
    | test_combinations | held-out side | never | at least one in a scene |
    """

    def __init__(self, pools: Sequence[Pool], config: ScenesConfig, split: str) -> None:
        self._config, self._split = config, split
        self._side: Side = "train" if split == "train" else "test"
        self._weights = _pool_weights(pools)
        known = {name for pool in pools for name in pool.names}
        unknown = sorted(set(config.held_out_names) - known)
        if unknown:
            raise ConfigError("held_out_names: no pictures of that kind", got=", ".join(unknown))
        held = set(config.held_out_names)
        self._held = [(p, n) for p in pools for n in p.names if n in held]
        self._usual = [(p, n) for p in pools for n in p.names if n not in held]
        self._pairs = [
            pair
            for pair in combinations(self._usual, 2)
            if config.holds_out(pair[0][1], pair[1][1])
        ]
        self._apart = {
            frozenset(pair) for pair in combinations(sorted(known), 2) if config.holds_out(*pair)
        }
        self._check(len({name for _, name in self._usual}))

    def _check(self, kinds: int) -> None:
        most = self._config.objects[1]
        if kinds < most:
            raise ConfigError(
                "too few kinds of pictures for a scene", expected=f"at least {most}", got=kinds
            )
        if self._split == "test_names" and not self._held:
            raise ConfigError("split test_names needs held_out_names")
        if self._split == "test_combinations" and (not self._pairs or most < 2):
            raise ConfigError(
                "split test_combinations needs held_out_pair_share, and two objects in a scene"
            )

    def draw(self, rng: np.random.Generator) -> ScenePlan:
        """One plan. Raises DataError where the held-out pairs leave no kinds to choose from."""
        config = self._config
        fewest, most = config.objects
        count = int(rng.integers(fewest, most + 1))
        if self._split == "test_combinations":
            count = max(2, count)
        repeat = count > 1 and rng.random() < config.repeat_probability
        kinds = self._kinds(count - repeat, rng)
        if not repeat:
            return ScenePlan(objects=tuple(self._object(pool, name, rng) for pool, name in kinds))
        return self._with_repeat(kinds, rng)

    def _kinds(self, count: int, rng: np.random.Generator) -> list[tuple[Pool, str]]:
        chosen: list[tuple[Pool, str]] = []
        if self._split == "test_names":
            chosen = [self._held[int(rng.integers(len(self._held)))]]
        elif self._split == "test_combinations" and count > 1:
            chosen = list(self._pairs[int(rng.integers(len(self._pairs)))])
        while len(chosen) < count:
            chosen.append(self._next_kind(chosen, rng))
        order = rng.permutation(count)
        return [chosen[i] for i in order]

    def _next_kind(
        self, chosen: list[tuple[Pool, str]], rng: np.random.Generator
    ) -> tuple[Pool, str]:
        taken = [name for _, name in chosen]
        apart = self._split != "test_combinations"
        free = [
            (pool, name)
            for pool, name in self._usual
            if name not in taken
            and not (apart and any(frozenset((name, other)) in self._apart for other in taken))
        ]
        if not free:
            raise DataError("no kinds left that may go together: the pairs are held out")
        pools = [pool for pool in self._weights if any(p is pool for p, _ in free)]
        weights = np.array([self._weights[pool] for pool in pools])
        pool = pools[int(rng.choice(len(pools), p=weights / weights.sum()))]
        names = [name for p, name in free if p is pool]
        return pool, names[int(rng.integers(len(names)))]

    def _with_repeat(self, kinds: list[tuple[Pool, str]], rng: np.random.Generator) -> ScenePlan:
        pool, name = kinds[0]
        ways = [way for way in self._config.repeat_by if way != "colour" or pool.drawn]
        if not ways:
            drawn = [i for i, (p, _) in enumerate(kinds) if p.drawn]
            if not drawn:
                raise DataError("repeat_by: only drawings can be distinguished by colour")
            kinds = [kinds[drawn[0]], *kinds[: drawn[0]], *kinds[drawn[0] + 1 :]]
            (pool, name), ways = kinds[0], ["colour"]
        way = ways[int(rng.integers(len(ways)))]
        first, second = self._pair(pool, name, way, rng)
        others = [self._object(p, n, rng) for p, n in kinds[1:]]
        return ScenePlan(objects=(first, second, *others), apart_by=way)

    def _pair(
        self, pool: Pool, name: str, way: str, rng: np.random.Generator
    ) -> list[PlannedObject]:
        sizes = rng.permutation(["small", "large"]) if way == "size" else (None, None)
        colours = rng.permutation(list(COLOURS))[:2] if way == "colour" else (None, None)
        keys = pool.pictures(name, self._side)
        picks = rng.choice(len(keys), size=2, replace=len(keys) < 2)
        return [
            self._sized(
                pool, name, keys[int(pick)], size and str(size), colour and str(colour), rng
            )
            for pick, size, colour in zip(picks, sizes, colours, strict=True)
        ]

    def _object(self, pool: Pool, name: str, rng: np.random.Generator) -> PlannedObject:
        config = self._config
        keys = pool.pictures(name, self._side)
        key = keys[int(rng.integers(len(keys)))]
        size = colour = None
        if rng.random() < config.size_probability:
            size = ("small", "large")[int(rng.integers(2))]
        if pool.drawn and rng.random() < config.colour_probability:
            colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
        return self._sized(pool, name, key, size, colour, rng)

    def _sized(
        self,
        pool: Pool,
        name: str,
        key: str,
        size: str | None,
        colour: str | None,
        rng: np.random.Generator,
    ) -> PlannedObject:
        low, high = self._config.size_range(size)
        px = int(rng.integers(low, high + 1))
        return PlannedObject(
            name=name, pool=pool, key=key, size_px=px, size_word=size, colour=colour
        )


def _pool_weights(pools: Sequence[Pool]) -> dict[Pool, float]:
    """How often an object comes from each pool; a pool without a share gets by its kinds."""
    if not pools or len({pool.name for pool in pools}) < len(pools):
        raise ConfigError("scenes need pools of pictures with names of their own")
    for pool in pools:
        if pool.share is not None and not 0 <= pool.share <= 1:
            raise ConfigError(f"share of pool {pool.name!r}", expected="0 to 1", got=pool.share)
    given = sum(pool.share for pool in pools if pool.share is not None)
    others = sum(len(pool.names) for pool in pools if pool.share is None)
    rest = max(0.0, 1 - given)
    weights = {
        pool: pool.share if pool.share is not None else rest * len(pool.names) / others
        for pool in pools
    }
    # A pool of weight 0 is still there for the scene that has used up all the other kinds.
    return {pool: max(weight, 1e-9) for pool, weight in weights.items()}
