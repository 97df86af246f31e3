"""Every bundled comparison can be run: its rows resolve, and their projectors build."""

import pytest

from diglot.config.read import read_dataclass
from diglot.config.recipes import bundled_recipes, read_recipe
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.rows import read_rows

pytestmark = pytest.mark.slow  # half a second a row

BUNDLED = [name for name in bundled_recipes() if name.startswith("compare/")]


@pytest.mark.parametrize("name", BUNDLED)
def test_every_row_resolves(name: str) -> None:
    settings = {**read_recipe(name), "data": "d", "out": "o"}
    rows = read_rows(read_dataclass(CompareConfig, settings, where=name))
    assert len(rows) == len(settings["rows"])


def test_the_tables_hold_every_projector_under_every_objective() -> None:
    name = "compare/patch_aligned_tables"
    settings = {**read_recipe(name), "data": "d", "out": "o"}
    rows = read_rows(read_dataclass(CompareConfig, settings, where=name))
    projectors = {row.label: row.stage.model.projector.name for row in rows}
    assert all(label.split(",")[0] == found for label, found in projectors.items())
    assert sorted(projectors.values()) == ["c_abstractor"] * 4 + ["linear"] * 4 + ["mlp"] * 4
    for row in rows:
        assert bool(row.stage.plus) == ("patch-aligned" in row.label)
        assert (row.stage.objective.name == "code_switch") == ("mmcs" in row.label)
        projector = row.stage.model.projector.build(
            encoder_width=1280, llm_width=576, embeddings_rms=0.1
        )
        assert sum(p.numel() for p in projector.parameters()) > 0
