"""Who may import whom: the table of the design, read off the source."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import diglot

ROOT = Path(diglot.__file__).parent
BELOW_MODELS = {"core", "files", "config", "data", "embedded"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "files": {"core"},
    "config": {"core", "files"},
    "embedded": {"core", "files"},
    "metrics": {"core"},
    "data": {"core", "files", "config"},
    "models": BELOW_MODELS,
    "objectives": {"core", "models"},
    "report": {"core", "files"},
    "measure": {*BELOW_MODELS, "metrics", "models"},
    "synth": {*BELOW_MODELS, "metrics", "models"},
    "train": {*BELOW_MODELS, "models", "objectives", "measure"},
    "evaluate": {*BELOW_MODELS, "metrics", "models", "measure", "synth"},
    "select": {*BELOW_MODELS, "metrics", "models", "measure", "train"},
    "recipes": set(),
}
INNER = set(MAY_IMPORT)
MAY_IMPORT |= {"studies": INNER, "cli": {*INNER, "studies"}, "__main__": {"cli"}}

FILES = {
    ".".join(("diglot", *path.relative_to(ROOT).with_suffix("").parts)): path
    for path in sorted(ROOT.rglob("*.py"))
}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}


def imported(path: Path) -> list[tuple[str, ast.stmt]]:
    """Full names of what a file imports of ours, wherever in the file the import stands."""
    names: list[tuple[str, ast.stmt]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.append((inner if inner in MODULES else str(node.module), node))
    return [(name, node) for name, node in names if name.split(".")[0] == "diglot"]


def folder_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("module", [m for m in MODULES if folder_of(m)])
def test_no_import_upwards(module: str) -> None:
    own = folder_of(module)
    assert own in MAY_IMPORT, f"{own}/ is not in the table"
    allowed = (own, *MAY_IMPORT[own])
    for name, node in imported(MODULES[module]):
        inner = name.removeprefix("diglot").removeprefix(".")
        assert not inner or any(f"{inner}.".startswith(f"{folder}.") for folder in allowed), (
            f"{MODULES[module].relative_to(ROOT)}:{node.lineno}: {own}/ may not import {name}"
        )


def test_no_cycles() -> None:
    graph = {
        module: {name for name, _ in imported(path) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    TopologicalSorter(graph).prepare()  # CycleError names the modules of the cycle


def test_the_table_itself_has_no_cycles() -> None:
    folders = {own: {folder_of(f"diglot.{n}") for n in names} for own, names in MAY_IMPORT.items()}
    TopologicalSorter(folders).prepare()


@pytest.mark.parametrize("module", list(MODULES))
def test_every_import_of_ours_exists(module: str) -> None:
    for name, node in imported(MODULES[module]):
        assert name in MODULES, f"{MODULES[module].name}:{node.lineno}: no module {name}"


@pytest.mark.parametrize(
    "path", [p for p in FILES.values() if p.name == "__init__.py"], ids=lambda p: p.parent.name
)
def test_init_files_are_empty_but_the_top_one(path: Path) -> None:
    assert path.parent == ROOT or not path.read_text().strip()


def test_every_folder_of_source_is_a_package() -> None:
    """Else an installed diglot would lack it."""
    for path in FILES.values():
        assert (path.parent / "__init__.py").exists(), path.parent


def test_core_needs_no_model_library() -> None:
    """core is torch and numpy: importing all of it loads neither transformers nor a dataset."""
    modules = [m for m in MODULES if folder_of(m) == "core"]
    check = f"import sys; import {', '.join(modules)}; " + (
        "print([m for m in ('transformers', 'datasets', 'accelerate') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
