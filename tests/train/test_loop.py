"""What a run does beside its steps: probes, workers, learning, messages before step 0."""

import pytest

from diglot.core.errors import ConfigError
from diglot.measure.probe import KEYS, probe_on
from diglot.models.trainable import Trainable
from diglot.models.vlm import VLMConfig
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.tiny_folders import tiny_stage
from tests.train.outcome import figures, losses, weights


def test_two_samples_are_learned_by_heart(world, tmp_path):
    settings = {"max_samples": 2, "epochs": 40, "optim": OptimConfig(lr=1e-2), "global_batch": 2}
    learns = Trainable(language=True)
    train(tiny_stage(world, tmp_path / "run", trainable=learns, **settings))
    logged = losses(tmp_path / "run")
    assert logged[-1] < 0.2 * logged[0]


def test_workers_change_no_figure(world, tmp_path):
    settings = {"objective": {"name": "code_switch", "replace_probability": 0.5}, "micro_batch": 3}
    for workers in (0, 2):
        train(tiny_stage(world, tmp_path / str(workers), workers=workers, **settings))
    assert figures(tmp_path / "0") == figures(tmp_path / "2")


def test_seeds_differ(world, tmp_path):
    for seed in (0, 1):
        train(tiny_stage(world, tmp_path / str(seed), max_samples=4, seed=seed))
    assert losses(tmp_path / "0") != losses(tmp_path / "1")


def test_probe_figures_are_recorded_and_disturb_nothing(world, tmp_path):
    train(tiny_stage(world, tmp_path / "plain"))
    stage = tiny_stage(world, tmp_path / "probed", probe_every=2, probe_samples=3, probe_share=1.0)
    train(stage, probe=probe_on(world / "data", stage.probe_split, stage.probe_samples))
    lines = figures(tmp_path / "probed")
    probes = [line for line in lines if "loss" not in line]
    assert [line["step"] for line in probes] == [1, 3, 4]
    for line in probes:
        assert {"step"} | {f"probe/{key}" for key in KEYS} <= set(line)
    assert [line for line in lines if "loss" in line] == figures(tmp_path / "plain")
    plain = weights(tmp_path / "plain")
    assert all((plain[n] == w).all() for n, w in weights(tmp_path / "probed").items())


def test_a_probe_leaves_the_modes_as_training_wants_them(world, tmp_path):
    modes = []

    def probe(vlm):
        modes.append((vlm.projector.training, vlm.language.training, vlm.encoder.training))
        return {"x": 1.0}

    def report(progress):
        modes.append(progress.stage)

    train(
        tiny_stage(world, tmp_path / "run", max_samples=8, probe_every=1, probe_share=1.0),
        probe=probe,
        report=report,
    )
    assert modes == ["train", (False, False, False)] * 2


def test_progress_counts_samples(world, tmp_path):
    events = []
    stage = tiny_stage(world, tmp_path / "run", max_samples=6, epochs=2)
    train(stage, report=lambda p: events.append((p.stage, p.done, p.total)))
    assert events[-1] == ("train", 12, 12)
    assert [done for _, done, _ in events] == [4, 6, 10, 12]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "nowhere"}, "no such dataset folder"),
        ({"split": "nosuch"}, "no split 'nosuch'"),
        ({"objective": "captions"}, "no part 'captions'"),
        ({"objective": {"name": "caption", "wieght": 1}}, "unknown field 'wieght'"),
        ({"objective": {"entity_weight": 1}}, "a part needs its name"),
        ({"start_from": "nowhere"}, "no checkpoint here"),
    ],
)
def test_settings_that_cannot_work_stop_before_step_0(world, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny_stage(world, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_settings_that_stopped_a_run_can_be_mended(world, tmp_path):
    """A mistake found before step 0 does not bind the folder to itself."""
    with pytest.raises(ConfigError):
        train(tiny_stage(world, tmp_path / "run", objective="captions"))
    train(tiny_stage(world, tmp_path / "run", max_samples=4))
    assert len(losses(tmp_path / "run")) == 1


def test_an_encoder_that_does_not_fit(world, tmp_path):
    model = tiny_stage(world, tmp_path).model
    odd = {"name": "mlp", "unshuffle": 3}
    with pytest.raises(ConfigError, match="cannot be unshuffled"):
        train(
            tiny_stage(
                world,
                tmp_path / "run",
                model=VLMConfig(encoder=model.encoder, projector=odd, language=model.language),
            )
        )


def test_a_precision_that_cannot_be_had(world, tmp_path):
    """Accelerate alone would train in float32 without a word."""
    with pytest.raises(ConfigError, match=r"^precision: a CPU does not train in float16"):
        train(tiny_stage(world, tmp_path / "b", precision="fp16"))
    train(tiny_stage(world, tmp_path / "b", max_samples=4))  # mended


def test_progress_names_the_loss_and_the_tokens_a_second(world, tmp_path):
    notes = []
    train(tiny_stage(world, tmp_path / "run", max_samples=8), report=lambda p: notes.append(p.note))
    shown = [note for note in notes if "tokens/s" in note]
    assert len(shown) == 2
    noted = [float(note.split(",")[0].removeprefix("loss ")) for note in shown]
    assert noted == pytest.approx(losses(tmp_path / "run"), abs=5e-4)


def test_runs_of_two_precisions_in_one_process(world, tmp_path):
    for name, precision in (("full", "no"), ("half", "bf16"), ("again", "no")):
        train(tiny_stage(world, tmp_path / name, precision=precision))
    assert figures(tmp_path / "full") == figures(tmp_path / "again")
    assert losses(tmp_path / "full") != losses(tmp_path / "half")
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "full"), rel=0.02)
