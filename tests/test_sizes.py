"""Files and functions stay small: half and nine tenths of them within these lines."""

import ast
from pathlib import Path
from statistics import quantiles

import pytest

import diglot

ROOTS = {"src": Path(diglot.__file__).parent, "tests": Path(__file__).parent}
FILE_LINES = (120, 220)
FUNCTION_LINES = (10, 25)  # signature and docstring too


def function_lines(path: Path) -> list[int]:
    """Lines of each function of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [(node.end_lineno or 0) - node.lineno + 1 for node in functions]


def check_sizes(lines: list[int], limits: tuple[int, int]) -> None:
    """The median and the 90th percentile are within the limits."""
    tenths = quantiles(lines, n=10)
    assert tenths[4] <= limits[0], f"median {tenths[4]}"
    assert tenths[8] <= limits[1], f"90th percentile {tenths[8]}"


def python_files(root: str) -> list[Path]:
    """What counts of a tree: all files but those that only make a package."""
    return [path for path in sorted(ROOTS[root].rglob("*.py")) if path.name != "__init__.py"]


@pytest.mark.parametrize("root", ROOTS)
def test_files_are_small(root: str) -> None:
    check_sizes([len(path.read_text().splitlines()) for path in python_files(root)], FILE_LINES)


@pytest.mark.parametrize("root", ROOTS)
def test_functions_are_small(root: str) -> None:
    lines = [lines for path in python_files(root) for lines in function_lines(path)]
    check_sizes(lines, FUNCTION_LINES)
