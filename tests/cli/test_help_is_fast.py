"""Help of every verb and sub-verb loads no model library, and takes less than a second of CPU."""

import json
import os
import subprocess
import sys

import pytest

from diglot.cli.main import VERBS
from diglot.cli.select import SUB_VERBS

SLOW = ("torch", "transformers", "accelerate", "datasets", "pyarrow", "matplotlib", "scipy")
COMMANDS = [
    [],
    *([verb] for verb in VERBS),
    *(["select", name] for name in SUB_VERBS),
]
CPU_S = 1.0
# One process forks for each command: what all share is loaded once, and counted for each.
ASK = """
import contextlib, io, json, os, sys, time
from diglot.cli.main import main

def ask(words):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = main([*words, "--help"])
    loaded = [name for name in {slow} if name in sys.modules]
    return dict(code=code, text=text.getvalue(), loaded=loaded)

shared_s = time.process_time()
for words in json.load(sys.stdin):
    if os.fork() == 0:
        found = ask(words)
        print(json.dumps({{"words": words, "cpu_s": shared_s + time.process_time(), **found}}))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, dict]:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    run = subprocess.run(
        [sys.executable, "-c", ASK.format(slow=SLOW)],
        input=json.dumps(COMMANDS),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return {" ".join(line["words"]): line for line in lines}


@pytest.mark.parametrize("command", [" ".join(words) for words in COMMANDS])
def test_help_is_fast_and_loads_no_model_library(answers: dict[str, dict], command: str) -> None:
    answer = answers[command]
    assert answer["code"] == 0
    assert "usage" in answer["text"]
    assert answer["loaded"] == []
    assert answer["cpu_s"] < CPU_S
