"""Parts by file name or dotted path, with settings that are checked."""

import sys
from pathlib import Path

import pytest

from diglot.config.parts import build_part, known_parts, load_part, part_config, split_part
from diglot.core.errors import ConfigError

OWN = """
from dataclasses import dataclass, field
from typing import Literal
from diglot.core.errors import ConfigError

@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1

@dataclass(frozen=True, kw_only=True)
class Config:
    size: int
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    note: str | None = None
    inner: Inner = field(default_factory=Inner)
    def __post_init__(self):
        if self.size < 1:
            raise ConfigError("must be at least 1", got=self.size, where="size")

def build(config, *, width=0):
    return config, width
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's own package in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine_of_plugin_test").mkdir()
    (tmp_path / "mine_of_plugin_test" / "part.py").write_text(OWN)
    (tmp_path / "mine_of_plugin_test" / "bare.py").write_text("x = 1\n")
    (tmp_path / "mine_of_plugin_test" / "broken.py").write_text("import no_such_module_at_all\n")
    yield "mine_of_plugin_test.part"
    for name in [n for n in sys.modules if n.startswith("mine_of_plugin_test")]:
        del sys.modules[name]


def test_known_parts_are_the_public_files() -> None:
    encoders = known_parts("diglot.models.encoders")
    assert {"clip", "siglip", "siglip2", "dinov2", "efficientnet_lite0"} <= set(encoders)
    assert encoders == sorted(encoders)
    assert not any(name.startswith("_") for name in encoders)


@pytest.mark.parametrize("name", ["siglop", "_tower", "", "mlp "])
def test_unknown_part_lists_the_known(name: str) -> None:
    with pytest.raises(ConfigError, match=r"diglot\.models\.encoders.*clip, combined, diffusion, "):
        load_part("diglot.models.encoders", name)


def test_own_part_by_its_dotted_path(own: str) -> None:
    config, width = build_part(
        "diglot.models.encoders",
        {"name": own, "size": 3, "inner": {"depth": 2}},
        where="encoder",
        width=7,
    )
    assert (config.size, config.rate, config.inner.depth, width) == (3, 0.5, 2, 7)


@pytest.mark.parametrize("name", ["mine_of_plugin_test.absent", "no_such_folder.part"])
def test_own_module_that_is_not_there(own: str, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot import.*Run from the folder"):
        load_part("diglot.models.encoders", name)


def test_own_module_that_cannot_import_something(own: str) -> None:
    with pytest.raises(ConfigError, match="no_such_module_at_all"):
        load_part("diglot.models.encoders", "mine_of_plugin_test.broken")


@pytest.mark.parametrize("name", [".part", "..", "mine_of_plugin_test."])
def test_path_that_is_no_path(own: str, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot import"):
        load_part("diglot.models.encoders", name)


def test_module_that_is_no_part(own: str) -> None:
    with pytest.raises(ConfigError, match="no Config and no build"):
        load_part("diglot.models.encoders", "mine_of_plugin_test.bare")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1, "sise": 2}, "unknown field 'sise'.*size, rate, kind"),
        ({"size": "big"}, "size"),
        ({"size": 1, "kind": "c"}, "kind"),
        ({"size": 1, "rate": [1]}, "rate"),
        ({"size": 1, "inner": {"deep": 1}}, "deep"),
        ({"size": None}, "size"),
        ({}, "size"),
        ({"size": 0}, "size.*at least 1"),
    ],
)
def test_bad_settings_name_place_and_field(own: str, settings: dict, message: str) -> None:
    module = load_part("diglot.models.encoders", own)
    with pytest.raises(ConfigError, match=f"(?s){message}") as error:
        part_config(module, settings, where="encoder")
    assert "encoder" in str(error.value)


def test_part_as_a_bare_name_or_a_mapping() -> None:
    assert split_part("clip", where="encoder") == ("clip", {})
    given = {"name": "clip", "path": "x"}
    assert split_part(given, where="encoder") == ("clip", {"path": "x"})
    assert given == {"name": "clip", "path": "x"}


@pytest.mark.parametrize("part", [{}, {"path": "x"}, {"name": 3}, 3, None, ["clip"]])
def test_part_without_a_name(part) -> None:
    with pytest.raises(ConfigError, match="encoder: a part needs its name"):
        split_part(part, where="encoder")
