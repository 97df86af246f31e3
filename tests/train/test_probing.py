"""What probes may cost, and when they end a run."""

import json
import time
from pathlib import Path

import pytest
from accelerate import Accelerator

from diglot.core.errors import ConfigError
from diglot.measure.probe import probe_on
from diglot.train.early_stop import EarlyStop
from diglot.train.loop import train
from diglot.train.probing import Probing
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures


def probing(share: float, *, values=(), sleep: float = 0.0, stop=None, steps: int = 20) -> Probing:
    found = iter(values)

    def probe() -> dict[str, float]:
        time.sleep(sleep)
        return {"tacs": next(found, 0.0)}

    return Probing(
        probe=probe, every=2, steps=steps, share=share, early_stop=stop, accelerator=Accelerator()
    )


@pytest.mark.parametrize(
    ("values", "enough"),
    [
        ([0.1, 0.2, 0.3], False),
        ([0.3, 0.2, 0.3], True),  # as good is not better
        ([0.3, 0.2, 0.4, 0.1], False),
        ([0.1], False),
        ([], False),
    ],
)
def test_a_run_ends_after_its_patience(values: list[float], enough: bool) -> None:
    assert EarlyStop(figure="tacs", patience=2).is_enough(values) == enough
    falling = EarlyStop(figure="tacs", better="lower", patience=2)
    assert falling.is_enough([-v for v in values]) == enough


def test_a_little_better_does_not_count() -> None:
    stop = EarlyStop(figure="tacs", patience=2, least=0.1)
    assert stop.is_enough([0.5, 0.55, 0.59])
    assert not stop.is_enough([0.5, 0.55, 0.61])


def test_probes_keep_to_their_share_but_for_the_first_and_the_last() -> None:
    run = probing(0.5, sleep=0.01)
    run.trained_s = -1e9  # nothing was trained: no share is left
    made = [step for step in range(1, 21) if run.after_step(step, 0.0)]
    assert made == [2, 20]
    assert run.left_out == 8
    rich = probing(0.5, sleep=0.001)
    made = [step for step in range(1, 21) if rich.after_step(step, 10.0)]
    assert made == list(range(2, 21, 2))
    assert rich.spent_s < 0.5 * (rich.spent_s + rich.trained_s)


def test_what_was_spent_and_found_is_taken_up(tmp_path: Path) -> None:
    lines = [{"step": 0, "seconds": 2.0}, {"step": 0, "probe/tacs": 0.5, "probe/seconds": 3.0}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = probing(0.05, values=[0.4], stop=EarlyStop(figure="tacs", patience=1), steps=2)
    run.resume(path)
    assert (run.spent_s, run.trained_s, run.last_s, run.values) == (3.0, 2.0, 3.0, [0.5])
    assert not run.is_enough
    figures = run.after_step(2, 0.1)
    assert figures is not None
    assert set(figures) == {"probe/tacs", "probe/seconds"}
    assert run.is_enough


def test_a_figure_that_is_not_probed_is_named() -> None:
    with pytest.raises(ConfigError, match="nothing is probed"):
        Probing(None, 0, 4, 0.1, EarlyStop(figure="tacs"), Accelerator())
    run = probing(1.0, stop=EarlyStop(figure="cka"))
    with pytest.raises(ConfigError, match="no such figure"):
        run.after_step(2, 0.1)


def test_a_run_records_its_alignment_and_ends_early(world: Path, tmp_path: Path) -> None:
    stage = tiny_stage(
        world,
        tmp_path / "run",
        epochs=6,
        probe_every=1,
        probe_samples=2,
        probe_share=1.0,
        probe_measures={"embedding": {}, "presence": {"scenes": 2}},
        early_stop=EarlyStop(figure="tacs", patience=2, least=9.0),
    )
    folder = train(
        stage,
        probe=probe_on(
            world / "data", stage.probe_split, stage.probe_samples, measures=stage.probe_measures
        ),
    )
    lines = figures(tmp_path / "run")
    steps = [line["step"] for line in lines if "lr" in line]
    assert steps == [0, 1, 2]  # the first value counts, two more do not
    probes = [line for line in lines if "probe/tacs" in line]
    assert {"probe/entropy_drop", "probe/align", "probe/presence_auc"} <= set(probes[0])
    assert (folder / "projector.safetensors").is_file()
