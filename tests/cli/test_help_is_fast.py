"""Help of the verbs that are asked most loads no model library."""

import os
import subprocess
import sys

import pytest

SLOW = ("torch", "transformers", "accelerate", "datasets", "pyarrow", "matplotlib", "scipy")
LOADED = """
import sys
from diglot.cli.main import main
code = main(sys.argv[1:])
print("LOADED", *[name for name in {slow} if name in sys.modules])
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [[], ["train"], ["compare"], ["select"], ["words"], ["demo"]],
    ids=lambda words: " ".join(words) or "diglot",
)
def test_help_loads_no_model_library(words):
    run = subprocess.run(
        [sys.executable, "-c", LOADED.format(slow=SLOW), *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert run.stdout.splitlines()[-1] == "LOADED"
    assert "--help" in run.stdout or "VERB" in run.stdout
