"""`diglot train` from its arguments to its last line."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from diglot.cli import train as verb
from diglot.config.parts import known_parts
from diglot.config.recipes import bundled_recipes
from diglot.core.distributed import warn_of_single_process
from diglot.models.checkpoint import load_config
from diglot.train.config import StageConfig, resolve_stage
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world
from tests.train.outcome import figures, losses

RECIPE = """
objective: {{name: code_switch, text_weight: 0.5}}
model:
  encoder: {{name: clip, path: {world}/clip}}
  projector: {{name: mlp, hidden: 24}}
  language: {{path: {world}/language}}
optim: {{lr: 1e-3, warmup: 0.1}}
global_batch: 4
checkpoint_every: 1
data: {world}/data
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = save_world(tmp_path_factory.mktemp("world"))
    (world / "recipe.yaml").write_text(RECIPE.format(world=world))
    (world / "overlay.yaml").write_text("objective: {entity_weight: 2}\noptim: {lr: 2e-3}\n")
    return world


@pytest.fixture(autouse=True)
def plain_logging():
    root, ours = logging.getLogger(), logging.getLogger("diglot")
    handlers, level = list(root.handlers), ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


def settings(out: Path) -> dict:
    return json.loads((out / "config.json").read_text())


def test_recipe_overlay_and_options(world, tmp_path, capsys, caplog):
    args = ["train", "--config", f"{world}/recipe.yaml", "--config", f"{world}/overlay.yaml"]
    args += ["--out", str(tmp_path / "run"), "--max_samples=8", "--objective.text_weight", "0.25"]
    args += ["--model.projector.hidden", "16", "--model.encoder.layer=-1", "--optim.lr", "4e-3"]
    assert run_diglot(*args) == 0
    stage = settings(tmp_path / "run")
    objective, projector = stage["objective"], stage["model"]["projector"]
    assert (objective["name"], objective["text_weight"]) == ("code_switch", 0.25)
    assert objective["entity_weight"] == 2
    assert (projector["name"], projector["hidden"], projector["unshuffle"]) == ("mlp", 16, 1)
    assert stage["model"]["encoder"]["layer"] == -1
    assert stage["optim"]["lr"] == 4e-3
    assert stage["optim"]["warmup"] == 0.1
    assert load_config(tmp_path / "run" / "model").projector == stage["model"]["projector"]
    shown = capsys.readouterr()
    lines = figures(tmp_path / "run")
    assert len(lines) == 2
    first = lines[0]
    assert first["loss"] == pytest.approx(0.25 * first["loss/text"] + 2 * first["loss/entity"])
    assert f"{first['loss']:.3f}" in shown.out  # the result goes to stdout, alone
    assert shown.out.endswith(f"checkpoint  {tmp_path}/run/model\n")
    assert "train ..." in shown.err
    assert "parameters learn" in caplog.text


def test_the_same_command_again_returns_at_once(world, tmp_path, capsys, caplog):
    args = ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run", "--max_samples=4"]
    assert run_diglot(*args) == 0
    first = capsys.readouterr().out
    assert run_diglot(*args) == 0
    assert capsys.readouterr().out == first
    assert "is finished" in caplog.text


def test_probe_and_features_by_options(world, tmp_path):
    args = ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run", "--max_samples=4"]
    args += [f"--features.folder={tmp_path}/cache", "--features.dtype=float32"]
    assert run_diglot(*args, "--probe_every=1", "--probe_samples=2") == 0
    assert any("probe/caption_nll" in line for line in figures(tmp_path / "run"))
    assert settings(tmp_path / "run")["features"]["dtype"] == "float32"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--objektive=caption"], "--objektive"),
        (["--optim.lrr=1"], "optim.lrr"),
        (["--objective.entity_wieght=1"], "entity_wieght"),
        (["--model.projector.hiden=1"], "hiden"),
        (["--model.encoder=clpi"], "clpi"),
        (["--objective=no.such.module"], "no.such.module"),
        (["--plus.patch_alinged.weight=1"], "patch_alinged"),
        (["--plus.patch_aligned.weight=much"], "plus.patch_aligned.weight"),
        (["--plus.caption.weight=1"], "mix: {caption: {share: 1.0}}"),
        (["--mix.reconstruction.share=0"], "mix.reconstruction.share"),
        (["--mix.patch_aligned.share=1"], "plus: {patch_aligned: {weight: 1.0}}"),
        (["--plus.token_contrastive.weight=1"], "diglot label"),
        (["--labels=/no/such"], "/no/such"),
        (["--plus=3"], "plus"),
        (["--optim.lr=abc"], "optim.lr"),
        (["--optim.lr=-1"], "optim"),
        (["--epochs=0"], "epochs"),
        (["--epochs=1.5"], "epochs"),
        (["--objective.entity_weight=abc"], "entity_weight"),
        (["--model.projector.unshuffle=3"], "unshuffle"),
        (["--model.preprocess.image_px=0"], "image_px"),
        (["--model.language.path=/no/such"], "language.path"),
        (["--data=/no/such"], "/no/such"),
        (["--split=nosuch"], "nosuch"),
        (["--split=../up"], "../up"),
        (["--probe_every=1", "--probe_split=nosuch"], "nosuch"),
        (["--config=nosuch.yaml"], "nosuch.yaml"),
        (["--config={bad}"], "bad.yaml"),
        (["--config={unknown}"], "optim.lrr"),
        (["--start_from=/no/such"], "/no/such"),
        (["--out=/dev/null/x"], "/dev/null/x"),
    ],
)
def test_mistakes_are_one_line_that_names_them(world, tmp_path, capsys, args, message):
    (tmp_path / "bad.yaml").write_text("a: [1")
    (tmp_path / "unknown.yaml").write_text("optim: {lrr: 1}")
    paths = {"bad": tmp_path / "bad.yaml", "unknown": tmp_path / "unknown.yaml"}
    args = [arg.format(**paths) for arg in args]
    base = ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run", "--max_samples=4"]
    assert run_diglot(*base, *args) == 2
    shown = capsys.readouterr()
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert shown.err.rstrip("\n").endswith(errors[0])
    assert message in errors[0]
    assert "Traceback" not in shown.err
    assert not shown.out


def test_missing_required_settings(capsys):
    assert run_diglot("train") == 2
    assert "data" in capsys.readouterr().err


def test_print_config_shows_the_settings_and_stops(world, tmp_path, capsys):
    args = ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run"]
    assert run_diglot(*args, "--objective.entity_weight=0", "--print_config") == 0
    shown = capsys.readouterr().out
    assert "entity_weight: 0" in shown
    assert "lr: 0.001" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [n for n in bundled_recipes() if n.startswith("embedded/")])
def test_bundled_recipes_parse_and_their_parts_are_configured(name):
    parser = ArgumentParser(exit_on_error=False)
    verb.add_arguments(parser)
    given = verb.read_arguments(parser, ["--config", name, "--data=d", "--out=o"])
    config = StageConfig(**{k: given[k] for k in StageConfig.__dataclass_fields__})
    assert resolve_stage(config).objective.config is not None


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("--objective.help=code_switch", ["--objective.entity_weight", "--objective.weight"]),
        ("--plus.help=patch_aligned", ["--plus.patch_aligned.min_cover"]),
        ("--mix.help=reconstruction", ["--mix.reconstruction.share"]),
        ("--model.encoder.help=siglip", ["--model.encoder.path", "--model.encoder.resample"]),
        ("--model.projector.help=mlp", ["--model.projector.hidden", "Linear-activation-Linear"]),
        ("--model.preprocess.help", ["max_tiles"]),
    ],
)
def test_help_shows_every_option_of_a_part(option, options, capsys):
    assert run_diglot("train", option) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in options)


def test_help_lists_the_parts_that_there_are(capsys):
    assert run_diglot("train", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for package in ("diglot.objectives", "diglot.models.encoders", "diglot.models.projectors"):
        assert f"One of {', '.join(known_parts(package))}, or a module of your own." in shown


@pytest.mark.slow
def test_killed_and_started_again_by_the_same_command(world, tmp_path):
    def command(out: str) -> list[str]:
        words = [
            "-m",
            "diglot",
            "train",
            f"--config={world}/recipe.yaml",
            f"--out={tmp_path}/{out}",
        ]
        return [sys.executable, *words, "--micro_batch=2", "--epochs=6"]

    killed = subprocess.Popen(command("a"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 500
    path = tmp_path / "a" / "metrics.jsonl"
    while not path.exists() or len(path.read_text().splitlines()) < 7:
        assert time.monotonic() < deadline
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert run_diglot(*command("a")[3:]) == 0
    assert run_diglot(*command("b")[3:]) == 0
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    assert len(losses(tmp_path / "a")) == 30
    ours, theirs = (tmp_path / r / "model" / "projector.safetensors" for r in "ab")
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.slow
def test_two_processes_by_torchrun(world, tmp_path):
    def words(out: str) -> list[str]:
        return ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/{out}"]

    done = launch("torch.distributed.run", "--nproc_per_node=2", "-m", "diglot", *words("two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint  ") == 1
    assert done.stderr.count("projector: 1208 of 1208 parameters learn") == 1
    assert "accelerate launch" not in done.stderr
    assert run_diglot(*words("one")) == 0
    assert len(figures(tmp_path / "two")) == 5
    for two, one in zip(figures(tmp_path / "two"), figures(tmp_path / "one"), strict=True):
        assert two == pytest.approx(one, rel=1e-5)


def launch(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "warned"), [(2, True), (1, False)])
def test_accelerate_starts_one_process_on_a_cpu_and_that_is_said(world, processes, warned):
    words = ["train", f"--config={world}/recipe.yaml", "--out=unused", "--dry_run"]
    options = ["--cpu", f"--num_processes={processes}", "-m", "diglot"]
    done = launch("accelerate.commands.launch", *options, *words)
    assert done.returncode == 0, done.stderr
    assert ("torchrun --nproc_per_node" in done.stderr) == warned


@pytest.mark.parametrize(
    ("environment", "single"),
    [
        ({}, False),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, False),  # accelerate launch --num_processes 1
        ({"MASTER_ADDR": "127.0.0.1"}, False),
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}, True),
        (
            {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"},
            False,
        ),
    ],
)
def test_one_process_where_several_were_asked_for(environment, single, caplog):
    assert warn_of_single_process(environment) == single
    assert ("torchrun" in caplog.text) == single


def test_a_dry_run_shows_what_would_be_done_and_writes_nothing(world, tmp_path, capsys):
    args = ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run", "--max_samples=8"]
    assert run_diglot(*args, "--dry_run", f"--json={tmp_path}/summary.json") == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["records"], summary["usable"], summary["steps"]) == (8, 8, 2)
    assert summary["visual tokens an image"] == {"least": 16, "mean": 16, "most": 16}
    assert summary["learns"]["projector"] == summary["parameters"]["projector"] > 0
    assert summary["learns"]["encoder"] == summary["learns"]["language"] == 0
    assert "visual tokens an image" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_name_in_brackets_is_no_markup(world, tmp_path, capsys):
    args = ["train", f"--config={world}/recipe.yaml", "--max_samples=4"]
    assert run_diglot(*args, f"--out={tmp_path}/r[/b]") == 0
    assert capsys.readouterr().out.endswith(f"checkpoint  {tmp_path}/r[/b]/model\n")


@pytest.mark.parametrize(
    "option",
    ["--epochs=1000000000000", "--workers=100000", "--model.preprocess.image_px=1000000000"],
)
def test_numbers_beyond_reason_are_refused_at_once(world, tmp_path, option, capsys):
    assert (
        run_diglot("train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run", option) == 2
    )
    assert "at most" in capsys.readouterr().err


def test_precisions_by_either_name(world, tmp_path, capsys):
    args = ["train", f"--config={world}/recipe.yaml", f"--out={tmp_path}/run", "--print_config"]
    assert run_diglot(*args, "--precision=bfloat16", "--model.language.dtype=bf16") == 0
    given = ArgumentParser(exit_on_error=False)
    verb.add_arguments(given)
    config = verb.read_arguments(
        given, [*args[1:3], "--precision=bfloat16", "--model.language.dtype=bf16"]
    )
    assert StageConfig(**{k: config[k] for k in StageConfig.__dataclass_fields__}).precision == (
        "bf16"
    )
    assert config["model"].language.dtype == "bfloat16"
