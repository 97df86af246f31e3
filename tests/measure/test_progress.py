import pytest

from diglot.measure.progress import Meter, measure_progress


def test_tokens_become_scenes():
    progress = measure_progress()
    meter = Meter(progress, scenes=10, tokens=400)
    meter.stage("presence")
    meter.done(100)
    task = progress.tasks[0]
    assert "presence" in task.description
    assert (task.completed, task.total) == (pytest.approx(2.5), 10)
    meter.done(300)
    assert task.finished
    assert progress.console.stderr


def test_without_a_display_nothing_happens():
    meter = Meter(None, scenes=10, tokens=0)
    meter.stage("presence")
    meter.done(5)
