"""Step: regions that are unsure, too small, too large, or hidden are removed, each with its reason.

MMCS section 3.3, in its order: low score, then box area (smaller than one visual patch, larger than
half the image), then, with masks, mask area. The paper gives no figure but the half; thresholds
here are ours. A recipe names this step once for each stage of filtering.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from diglot.config.ranges import NonNegativeInt
from diglot.core import masks
from diglot.core.errors import ConfigError, DataError, locate_errors
from diglot.core.types import Lineage, Region, SizeHW
from diglot.synth.step import Draft, Dropped, LostRegion


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the step; what is not given does not filter."""

    min_score: float | None = None
    """Least score of the detector, in [0, 1]."""
    patch_grid: int | None = None
    """Visual patches along each side of the image: a box smaller than one of them is removed. 24 is
    a 384-px view in patches of 16 px; 12 the same after 2 x 2 unshuffle."""
    max_box_share: float | None = None
    """Largest share of the image that a box may take (0.5 in MMCS)."""
    min_mask_share: float | None = None
    """Least share of the image that a mask may take."""
    min_mask_of_box: float | None = None
    """Least share of its box that a mask may fill. In no paper."""
    min_regions: NonNegativeInt = 0
    """An image with fewer regions left is dropped."""

    def __post_init__(self) -> None:
        for name in ("min_score", "max_box_share", "min_mask_share", "min_mask_of_box"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError("not a share", expected="0 to 1", got=value, where=name)
        if self.patch_grid is not None and self.patch_grid < 1:
            raise ConfigError("no grid", expected="at least 1", got=self.patch_grid)


Test = tuple[str, Callable[[Region, SizeHW], bool]]


class FiltersStep:
    """The tests of the config, in its order; a region is lost to the first that it fails."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tests = list(_list_tests(config))
        given = {key: value for key, value in vars(config).items() if value}
        self.lineage = Lineage(
            step="filters", revision=", ".join(f"{key} {value}" for key, value in given.items())
        )

    def __call__(self, drafts: Iterator[Draft]) -> Iterator[Draft | Dropped]:
        """Drafts with the regions that pass."""
        for draft in drafts:
            yield self._filter(draft)

    def _filter(self, draft: Draft) -> Draft | Dropped:
        try:
            return self._filter_regions(draft)
        except DataError as error:  # a mask that cannot be read
            return Dropped.from_error(draft.sample.id, error)

    def _filter_regions(self, draft: Draft) -> Draft | Dropped:
        kept, lost = [], []
        for number, region in enumerate(draft.sample.regions):
            with locate_errors(f"sample {draft.sample.id!r}, regions[{number}].mask"):
                reason = self._why_removed(region, draft.sample.size_hw)
            if reason:
                lost.append(_lose_region(region, reason))
            else:
                kept.append(region)
        if len(kept) < self._config.min_regions:
            return Dropped(
                id=draft.sample.id, reason="too few regions", detail=_count_reasons(draft, lost)
            )
        return draft.keep_regions(kept, lost)

    def _why_removed(self, region: Region, size_hw: SizeHW) -> str:
        return next((reason for reason, passes in self._tests if not passes(region, size_hw)), "")


def _list_tests(config: Config) -> Iterator[Test]:
    score, grid, box = config.min_score, config.patch_grid, config.max_box_share
    mask, fill = config.min_mask_share, config.min_mask_of_box
    if score is not None:
        yield "the score is low", lambda region, _: region.score >= score
    if grid is not None:
        small = "the box is smaller than a visual patch"
        yield small, lambda region, size: _box_px(region) * grid**2 >= size[0] * size[1]
    if box is not None:
        large = "the box takes too much of the image"
        yield large, lambda region, size: _box_px(region) <= box * size[0] * size[1]
    if mask is not None:
        hidden = "the mask is small"
        yield hidden, lambda region, size: _mask_px(region) >= mask * size[0] * size[1]
    if fill is not None:
        sparse = "the mask fills little of its box"
        yield sparse, lambda region, _: _mask_px(region) >= fill * _box_px(region)


def _box_px(region: Region) -> float:
    x0, y0, x1, y1 = region.box
    return (x1 - x0) * (y1 - y0)


def _mask_px(region: Region) -> float:
    """The mask's area; a region without a mask has none to fall short of."""
    return float("inf") if region.mask is None else float(masks.mask_area(region.mask))


def _lose_region(region: Region, reason: str) -> LostRegion:
    return LostRegion(reason=reason, phrase=region.phrase, box=region.box, score=region.score)


def _count_reasons(draft: Draft, lost: list[LostRegion]) -> str:
    reasons = [region.reason for region in (*draft.lost, *lost)]
    return ", ".join(f"{reasons.count(reason)} x {reason}" for reason in dict.fromkeys(reasons))


def build(config: Config) -> FiltersStep:
    """The step that drops regions by size, score and count, and images by what is left."""
    return FiltersStep(config)
