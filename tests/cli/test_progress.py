import pytest

from diglot.cli import progress
from diglot.cli.progress import show_progress
from diglot.core.progress import Progress


@pytest.fixture(autouse=True)
def _width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def test_without_a_terminal_one_line_a_stage_and_the_bars_once(capsys):
    with show_progress() as report:
        for stage in ("features", "train"):
            for done in range(5000):
                report(Progress(stage, done + 1, 5000, "loss 1.234"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["features ...", "train ..."]
    assert len(lines) == 4
    assert "5000/5000" in lines[2]
    assert "loss 1.234" in lines[3]


def test_without_a_terminal_a_long_stage_shows_now_and_then_that_it_lives(capsys, monkeypatch):
    now = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    with show_progress() as report:
        for done in range(20):
            report(Progress("train", done + 1, 20, "loss 2"))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
    assert 3 < len(lines) < 12
    assert lines[0].endswith("of 20 loss 2")


def test_no_work_no_bar(capsys):
    with show_progress():
        pass
    assert capsys.readouterr().err == ""


def test_a_failure_leaves_what_was_shown(capsys):
    def work():
        with show_progress() as report:
            report(Progress("train", 1, 2))
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert "1/2" in capsys.readouterr().err


def test_names_like_markup_are_shown_as_they_are(capsys):
    with show_progress() as report:
        report(Progress("r[/b]", 1, 2, "[red]x[/]"))
    assert "r[/b]" in capsys.readouterr().err


def test_in_a_narrow_window_the_note_is_cut_and_the_figures_are_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with show_progress() as report:
        report(Progress("mask_area", 6, 12, "472.4 images/s of its own, 1 images dropped"))
        report(Progress("images", 12, 12, "6 samples"))
    lines = capsys.readouterr().err.splitlines()[-2:]
    assert " 6/12 " in lines[0]
    assert "…" in lines[0]
    assert "12/12" in lines[1]
    assert "took 0:00" in lines[1]
