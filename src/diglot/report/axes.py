"""Linear axes with round ticks, and numbers as people write them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Beyond this the length of an axis may be no float any more; such values are not drawn.
_HUGE = 1e300


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values from `low` to `high`, with ticks on round ones."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def percent(self, value: float) -> float:
        """Where `value` lies between low (0) and high (100), rounded so that pages repeat."""
        return round(100 * (value - self.low) / (self.high - self.low), 3)


def fit_axis(values: Iterable[float | None], *, ticks: int = 4, tight: bool = False) -> Axis:
    """An axis over the finite `values` with about `ticks` ticks; [0, 1] where there are none.

    `tight` keeps the ends at the values themselves instead of at the next round ones.
    """
    known = [v for v in values if v is not None and abs(v) < _HUGE]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = max(abs(high) * 0.1, 1e-6)
        low, high = low - pad, high + pad
    step = round_step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(round(k * step, 12) for k in range(first, last + 1))
    if tight:
        return Axis(low=low, high=high, ticks=tuple(m for m in marks if low <= m <= high))
    return Axis(low=marks[0], high=marks[-1], ticks=marks)


def unit_axis() -> Axis:
    """[0, 1], the axis of accuracies and shares."""
    return Axis(low=0.0, high=1.0, ticks=(0.0, 0.25, 0.5, 0.75, 1.0))


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that is at least `rough` > 0."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def format_value(value: float | None) -> str:
    """A result as text: "0.82", "12.3", "not measured"."""
    if value is None:
        return "not measured"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1000 or 0 < size < 0.005:
        text = f"{value:.2g}" if size < 1 else f"{value:,.0f}"
    else:
        text = f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return text.replace("-", "−")


def format_tick(value: float) -> str:
    """A round number with no more digits than it needs."""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return f"{value:.3g}".replace("-", "−")
    return f"{value:,.10f}".rstrip("0").rstrip(".").replace("-", "−")
