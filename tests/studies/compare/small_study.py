"""A comparison of two rows on the tiny folders, and what it found."""

import json
from pathlib import Path
from typing import Any

from diglot.measure.config import MeasureConfig
from diglot.studies.compare.config import CompareConfig

SET = {
    "projector": {"name": "mlp", "hidden": 24},
    "optim": {"lr": 3e-3, "warmup": 0.1},
    "global_batch": 4,
    "micro_batch": 4,
    "row_tokens": 128,
    "checkpoint_every": 1,
}
CHEAP = {
    "measures": {"regions": {}, "localisation": {}, "caption_nll": {}},
    "bootstrap_draws": 20,
}


def write_recipe(world: Path) -> Path:
    """recipe.yaml: image caption on the folders of `save_world`."""
    settings = {name: value for name, value in SET.items() if name != "projector"}
    settings["model"] = {
        "encoder": {"name": "clip", "path": str(world / "clip")},
        "projector": SET["projector"],
        "language": {"path": str(world / "language")},
    }
    (world / "recipe.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return world / "recipe.yaml"


def study_settings(world: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """Caption and MMCS, two sizes, two seeds."""
    recipe = str(world / "recipe.yaml")
    defaults = {
        "data": str(world / "data"),
        "out": str(out),
        "rows": {
            "caption": recipe,
            "mmcs": {"config": recipe, "set": {"objective": "code_switch"}},
        },
        "samples": [8, 4],
        "seeds": [0, 1],
        "measure": dict(CHEAP),
    }
    return defaults | changes


def small_study(world: Path, out: Path, **changes: Any) -> CompareConfig:
    """The same as a checked configuration."""
    settings = study_settings(world, out, **changes)
    return CompareConfig(**settings | {"measure": MeasureConfig(**settings["measure"])})


def found(results: dict[str, Any]) -> dict[tuple[str, int, int], Any]:
    """(row, samples, seed) -> state and scores, without what took how long."""
    return {
        (job["row"], job["samples"], job["seed"]): (job["state"], job["scores"])
        for job in results["jobs"]
    }
