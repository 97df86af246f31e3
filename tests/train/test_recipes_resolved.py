"""The bundled recipes mean what they meant before parts were read by types.

recipes_resolved.json was written by the code before: embedded/caption in full; the other recipes by
what differs from it, overlays by what differs from the recipe they lie over ("-": fields that are
gone). Fields that are new since may have any default.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from diglot.config.parts import as_plain
from diglot.config.recipes import bundled_recipes, read_recipe
from diglot.train.config import merge_stage, resolve_stage, stage_config

BEFORE = json.loads((Path(__file__).parent / "recipes_resolved.json").read_text("utf-8"))
FIRST = "embedded/caption"


def flat(value: Any, above: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            name: inner
            for key, part in value.items()
            for name, inner in flat(part, f"{above}.{key}" if above else key).items()
        }
    return {above: value}


@cache
def resolved(*names: str) -> dict[str, Any]:
    settings: Any = {}
    for name in names:
        settings = merge_stage(settings, read_recipe(name))
    stage = resolve_stage(stage_config({**settings, "data": "d", "out": "o"}))
    return flat(json.loads(json.dumps(as_plain(stage))))


def meant_before(name: str) -> dict[str, Any]:
    changes = dict(BEFORE[name])
    below = meant_before(changes.pop("over", FIRST)) if name != FIRST else {}
    gone = changes.pop("-", [])
    return {key: value for key, value in below.items() if key not in gone} | changes


# MMCS cites LLaVA-NeXT's tiles; with them goes the activation (see the changelog).
ANYRES = {"model.preprocess.mode": "anyres", "model.projector.activation": "gelu"}


def changed_since(name: str, over: str | None) -> dict[str, Any]:
    """What a recipe was meant to mean otherwise since."""
    return ANYRES if (over or name).startswith("full/mmcs_") else {}


@pytest.mark.parametrize("name", BEFORE)
def test_a_recipe_means_what_it_meant(name):
    over = BEFORE[name].get("over")
    now, before = resolved(*([over, name] if over else [name])), meant_before(name)
    before |= changed_since(name, over)
    assert {key: now.get(key, "gone") for key in before} == before


def test_every_recipe_of_a_stage_was_compared():
    kinds = ("embedded/", "full/", "ablations/")
    missing = [n for n in bundled_recipes() if n.startswith(kinds) and n not in BEFORE]
    assert len(BEFORE) >= 49
    assert not [name for name in BEFORE if name not in bundled_recipes()]
    assert all(resolved(name) for name in missing if not name.startswith("ablations/"))
