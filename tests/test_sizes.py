"""Files and functions stay small: half and nine tenths of them within these lines."""

import ast
from pathlib import Path
from statistics import quantiles

import diglot

ROOT = Path(diglot.__file__).parent
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.name != "__init__.py"]
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


def test_files_are_small() -> None:
    check_sizes([len(path.read_text().splitlines()) for path in FILES], FILE_LINES)


def test_functions_are_small() -> None:
    check_sizes([lines for path in FILES for lines in function_lines(path)], FUNCTION_LINES)
