"""`diglot measure` in two processes gives the figures of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_measure import save_checkpoint
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world

FEW = (
    "{regions: {scenes: 3}, caption_nll: {scenes: 6}, embedding: {scenes: 6, pursuit_scenes: 1},"
    " layers: {scenes: 6, k: 2, mir_tokens: 8}, attention: {scenes: 3}}"
)


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    save_world(tmp_path)
    save_checkpoint(tmp_path, tmp_path / "run", 0)
    args = ["measure", str(tmp_path / "run"), "--data", str(tmp_path / "data"), "--points", "6"]
    args += ["--measure.measures", FEW, "--measure.bootstrap_draws", "20"]
    # small batches, so that both processes have some
    args += ["--measure.batch_tokens", "64", "--examples", "1"]
    assert run_diglot(*args, "--json", tmp_path / "one.json") == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [*command, "-m", "diglot", *args, "--json", str(tmp_path / "two.json")],
        env=env,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert one["measures"] == two["measures"]
    assert one["examples"] == two["examples"]
    assert sorted(p.name for p in tmp_path.glob("two*")) == ["two.json"]
    assert ran.stdout.count("Entropy drop") == 1
