"""Options that would not be read in the mode that was chosen are refused by name."""

import importlib
from pathlib import Path

import pytest

from diglot.cli.main import VERBS
from tests.cli_runner import USER_ERROR, run_diglot

REFUSED = [
    ("scenes {out} --kind words --scene.jpeg_quality 64", "--scene.jpeg_quality", "--kind words"),
    ("scenes {out} --kind charts --instruct", "--instruct", "--kind words or charts"),
    ("scenes {out} --fonts {run}", "--fonts", "--kind objects"),
    ("scenes {out} --questions.exchanges 2", "--questions.exchanges", "without --instruct"),
    ("scenes {out} --pictures {run} --cifar_share 0.2", "--cifar_share", "--pictures"),
    ("scenes {out} --kind charts --text.texts [2,3]", "--text.texts", "--kind charts"),
    ("scenes {out} --kind words --text.values true", "--text.values", "--kind words"),
    (
        "evaluate {run} --out {out} --kind charts --text.texts [2,3]",
        "--text.texts",
        "--kind charts",
    ),
    ("evaluate {run} --out {out} --kind words --text.values true", "--text.values", "--kind words"),
    ("view {run} --phrase dog", "--phrase", "a run's report"),
    ("view {pairs} --split=test", "--split", "a folder of pairs"),
    ("view {data} --only 1 --count 3", "--count", "--only"),
    ("view {data} --tokens embedded/sft --labels {run}", "--labels", "--tokens"),
    ("check {data} --recipe embedded/sft --max_tokens 9", "--max_tokens", "--recipe"),
    ("check {data} --drop_duplicates", "--drop_duplicates", "without --fix"),
    ("evaluate {run} --out {out} --data {data} --kind words", "--kind", "--data"),
    ("evaluate {run} --out {out} --text.image_px 64", "--text.image_px", "--kind objects"),
    (
        "evaluate {run} --out {out} --kind words --scene.jpeg_quality 64",
        "--scene.jpeg_quality",
        "words",
    ),
    ("export {run} --list embedded/caption", "CHECKPOINT", "--list"),
    ("export --list embedded/caption --to llava", "--to", "--list"),
    ("export {run} --to llava --out {out} --images {run}", "--images", "without --check"),
]


@pytest.mark.parametrize(("line", "option", "beside"), REFUSED, ids=lambda text: text)
def test_an_option_that_is_not_read_is_refused(
    line: str, option: str, beside: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/report.json").write_text("{}")
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/pairs.jsonl").write_text("")
    (tmp_path / "data").mkdir()
    folders = {name: tmp_path / name for name in ("run", "pairs", "data", "out")}
    assert run_diglot(*(word.format(**folders) for word in line.split())) == USER_ERROR
    message = capsys.readouterr().err
    assert f"{option} is not read beside" in message
    assert beside in message
    assert not (tmp_path / "out").exists()


def test_every_rule_has_its_case() -> None:
    tried = {(line.split()[0], beside) for line, _, beside in REFUSED}
    for verb in VERBS:
        for rule in getattr(importlib.import_module(f"diglot.cli.{verb}"), "UNREAD", ()):
            assert any(name == verb and part in rule.beside for name, part in tried), rule.beside


def test_the_same_options_are_read_in_their_mode(tmp_path: Path) -> None:
    options = ("--kind", "words", "--count", "2", "--text.image_px", "64")
    assert run_diglot("scenes", tmp_path / "words", *options) == 0


def test_overlays_stand_behind_the_recipe(capsys: pytest.CaptureFixture) -> None:
    assert run_diglot("export", "--list", "full/mmcs_qwen25_3b") == 0
    assert "aya_vision       holds it" not in capsys.readouterr().out
    names = ("full/mmcs_qwen25_3b", "ablations/mmcs_ours_aya_vision")
    assert run_diglot("export", "--list", *names) == 0
    assert "aya_vision       holds it" in capsys.readouterr().out
