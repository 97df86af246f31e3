"""Recipes: YAML files that lie one over another, and the stage that they describe.

A part (objective, encoder, projector) is a name, or a mapping with its name and fields. Fields lie
over fields as long as the name stays the same; another name starts anew.
"""

import difflib
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from diglot.core.errors import ConfigError
from diglot.files import explain_missing

MOST_CHARACTERS, MOST_VALUES = 1_000_000, 100_000  # a few lines of aliases can stand for billions


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain values: 1e-3 is a number; no, off and dates are words."""


_LEFT_OUT = (":bool", ":float", ":timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp)
        for tag, regexp in resolvers
        if not tag.endswith((":bool", ":float", ":timestamp"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|false|True|False|TRUE|FALSE)$"), list("tfTF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^([-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)


def merge_recipes(below: Any, above: Any, *, parts: Mapping[str, Any], path: str = "") -> Any:
    """`below` with the values of `above` in place of its own, mapping by mapping.

    `parts` gives the paths at which a part stands, each with its default. Raises ConfigError for a
    part that is none.
    """
    if path in parts:
        return _merge_part(_read_part(parts[path] if below is None else below, path), above, path)
    if not (isinstance(below, Mapping | None) and isinstance(above, Mapping)):
        return above
    merged = dict(below or {})
    for key, value in above.items():
        inner = f"{path}.{key}" if path else str(key)
        merged[key] = merge_recipes(merged.get(key), value, parts=parts, path=inner)
    return merged


def _merge_part(below: dict[str, Any], above: Any, path: str) -> dict[str, Any]:
    over = _read_part(above, path)
    if over.get("name", below.get("name")) != below.get("name"):
        return over
    return merge_recipes(below, over, parts={})


def _read_part(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        return dict(value)
    raise ConfigError(
        "not a part", expected="a name, or name: ... and fields", got=value, where=path
    )


def read_recipe(name: str, *, option: str = "--config") -> Mapping[str, Any]:
    """The settings of a recipe: a file of the user's, or one bundled with diglot.

    `option` is the argument that named it.

    Raises ConfigError for one that is not there or is no YAML.
    """
    path = find_recipe(name, option=option)
    try:
        settings = parse_value(path.read_text("utf-8"), where=name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe cannot be read ({error})", where=name) from error
    if not isinstance(settings, Mapping | None):
        raise ConfigError("not a recipe", expected="field: value lines", got=settings, where=name)
    return settings or {}


def parse_value(text: str, *, where: str) -> Any:
    """A value in YAML. Raises ConfigError naming `where`, also for more than recipes ever need."""
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(
            f"too long for a recipe: {len(text):,} characters",
            expected=f"at most {MOST_CHARACTERS:,}",
            where=where,
        )
    try:
        node = yaml.compose(text, _Loader)
        if node is not None and _expanded_size(node, {}) > MOST_VALUES:
            raise ConfigError(f"more than {MOST_VALUES:,} values, aliases counted", where=where)
        if node is not None and (twice := _repeated_key(node)):
            raise ConfigError(f"the field {twice} is there twice", where=where)
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        problem = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise ConfigError(f"not valid YAML: {problem}", where=where) from error
    except RecursionError as error:
        raise ConfigError("not valid YAML: nested too deeply", where=where) from error


def _expanded_size(node: yaml.Node, sizes: dict[int, float]) -> float:
    """How many values a node stands for once every alias is a copy; infinite inside itself."""
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = math.inf  # met again before it is done: it holds itself
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    else:
        inner = node.value if isinstance(node, yaml.SequenceNode) else []
    sizes[id(node)] = 1 + sum(_expanded_size(part, sizes) for part in inner)
    return sizes[id(node)]


def _repeated_key(node: yaml.Node) -> str | None:
    """A key that one mapping has twice, with its line: the loader would take the last."""
    known = set[str]()
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    for key, _ in pairs:
        if key.value in known and isinstance(key, yaml.ScalarNode):
            return f"{key.value!r} (line {key.start_mark.line + 1})"
        known.add(str(key.value))
    inner = [value for _, value in pairs] or (
        node.value if isinstance(node, yaml.SequenceNode) else []
    )
    return next((found for one in inner if (found := _repeated_key(one))), None)


def find_recipe(name: str, *, option: str = "--config") -> Path:
    """The file of a recipe: the user's own, or one bundled with diglot ("embedded/caption").

    Raises ConfigError for a name that is neither.
    """
    own = Path(name).expanduser()
    if own.is_file():
        return own
    folder = Path(str(files("diglot.recipes"))).resolve()
    bundled = (folder / f"{name}.yaml").resolve()
    if bundled.is_relative_to(folder) and bundled.is_file():
        return bundled
    raise ConfigError(
        f"no recipe {name!r}{_explain_path(name)}",
        expected="a YAML file, or a bundled recipe, such as " + _similar_recipes(name),
        where=option,
    )


def _explain_path(name: str) -> str:
    """Why a name that looks like a path is no file: a folder, or not there (what is like it)."""
    path = Path(name).expanduser()
    is_path = path.is_absolute() or name.endswith((".yaml", ".yml")) or path.is_dir()
    return f": {explain_missing(path)}" if is_path else ""


def _similar_recipes(name: str) -> str:
    """The bundled recipes that a wrong name may have meant."""
    known = bundled_recipes()
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return ", ".join(close or [n for n in known if n.startswith("embedded/")])


def bundled_recipes() -> list[str]:
    """Names of the bundled recipes, sorted."""
    folder = Path(str(files("diglot.recipes")))
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))
