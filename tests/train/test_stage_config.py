import pytest

from diglot.core.errors import ConfigError
from diglot.data.config import FeaturesConfig
from diglot.train.config import OptimConfig, StageConfig, resolve_stage
from tests.tiny_folders import tiny_stage


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("global_batch", 0),
        ("micro_batch", -1),
        ("row_tokens", 0),
        ("checkpoint_every", 0),
        ("max_samples", 0),
        ("workers", -1),
        ("probe_every", -1),
    ],
)
def test_counts_that_cannot_be(world, tmp_path, field, value):
    with pytest.raises(ConfigError, match=f"^{field}: must be (at least|above) .*; got {value}"):
        tiny_stage(world, tmp_path, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.0),
        ("lr", float("nan")),
        ("weight_decay", -1.0),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("eps", -1e-8),
        ("warmup", 1.5),
        ("clip", -1.0),
    ],
)
def test_optimizer_settings_out_of_range(field, value):
    with pytest.raises(ConfigError, match=f"optim.{field}: must be .*; got"):
        OptimConfig(**{field: value})


def test_a_resolved_stage_spells_out_every_field_of_its_parts(world, tmp_path):
    bare = resolve_stage(tiny_stage(world, tmp_path, objective="code_switch"))
    resolved = resolve_stage(tiny_stage(world, tmp_path, objective={"name": "code_switch"}))
    assert bare == resolved == resolve_stage(resolved)
    assert bare.objective["entity_weight"] == 1.0
    assert bare.model.projector["activation"] == "gelu"
    with pytest.raises(ConfigError, match="unknown field 'wieght'"):
        resolve_stage(tiny_stage(world, tmp_path, objective={"name": "caption", "wieght": 1}))


def test_the_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    stage = StageConfig(data="~/data", out="~/run", features=FeaturesConfig(folder="~/f"))
    assert (stage.data, stage.out) == ("/home/me/data", "/home/me/run")
    assert stage.features.folder == "/home/me/f"
