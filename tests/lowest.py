"""Prints a constraints file of the lowest releases that pyproject.toml allows.

    python -m tests.lowest > build/lowest.txt

A requirement `name[extra]>=1.2,<2` gives `name==1.2`. Only what diglot itself asks for is pinned;
what that depends on may be newer.
"""

import re
import tomllib
from pathlib import Path

EXTRAS = ("demo", "lora", "words")  # what the tests of the core parts need
LOWER = re.compile(r"^(?P<name>[\w.-]+)(\[[\w,]+\])?(>=|==)(?P<version>[\d.]+)")


def lowest_pins() -> list[str]:
    """One `name==version` for each requirement."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return [pin_of(requirement) for requirement in wanted]


def pin_of(requirement: str) -> str:
    """Raises ValueError for a requirement without a lower bound."""
    found = LOWER.match(requirement)
    if found is None:
        raise ValueError(f"no lower bound: {requirement}")
    return f"{found['name']}=={found['version']}"


if __name__ == "__main__":
    print("\n".join(lowest_pins()))
