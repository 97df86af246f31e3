"""The fifteen settings and eight benchmarks of "Law of Vision Representation in MLLMs"."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from diglot.select.table import Floats


@dataclass(frozen=True, kw_only=True)
class PaperLaw:
    """K = 15 settings, B = 8 benchmarks, as printed in the paper's Tables 3 and 4."""

    settings: tuple[str, ...]
    families: tuple[str, ...]
    scores_K2: Floats  # A (nats per token), C (PCK@0.10, per cent)
    benchmarks: tuple[str, ...]
    results_BK: Floats
    groups: dict[str, tuple[str, ...]]  # "vision", "ocr": names of benchmarks
    outliers: tuple[str, ...]  # left out of the paper's policy average
    published: dict[str, Any]

    def rows(self, names: Sequence[str]) -> list[int]:
        """Indices of benchmarks `names`."""
        return [self.benchmarks.index(name) for name in names]

    def without_outliers(self) -> list[int]:
        """Indices of the six benchmarks the paper averages its policy over."""
        return [b for b, name in enumerate(self.benchmarks) if name not in self.outliers]


def read_yaml(name: str) -> dict[str, Any]:
    """A YAML file that ships in select/data."""
    text = files("diglot.select").joinpath("data", name).read_text(encoding="utf-8")
    return yaml.safe_load(text)


@cache
def paper_law() -> PaperLaw:
    """The paper's data."""
    raw = read_yaml("law.yaml")
    settings = raw["settings"]
    return PaperLaw(
        settings=tuple(row["setting"] for row in settings),
        families=tuple(row["family"] for row in settings),
        scores_K2=np.array([[row["A"], row["C"]] for row in settings]),
        benchmarks=tuple(raw["results"]),
        results_BK=np.array(list(raw["results"].values()), dtype=float),
        groups={name: tuple(members) for name, members in raw["groups"].items()},
        outliers=tuple(raw["outliers"]),
        published=raw["published"],
    )
