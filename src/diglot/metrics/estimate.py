"""A measured value with its interval: what every measure returns."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95% interval over `n` items. None = nothing to measure; never NaN."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        """Plain JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


NOT_MEASURED = Estimate(value=None, low=None, high=None, n=0)
