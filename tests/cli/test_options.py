import json

import pytest

from diglot.cli.options import settle
from diglot.config.recipes import carried_recipes, find
from diglot.core.errors import ConfigError
from diglot.train.config import merge_stage


def settled(*args: str) -> dict:
    config, *rest = settle(list(args))
    assert not rest
    return json.loads(config.removeprefix("--config="))


@pytest.fixture
def recipes(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "objective: {name: code_switch, text_weight: 0.5, frame: {bos: false}}\n"
        "model: {projector: {name: mlp, hidden: 8, unshuffle: 2}}\n"
        "optim: {lr: 1e-3, warmup: 0.1}\n"
    )
    (tmp_path / "b.yaml").write_text(
        "objective: {entity_weight: 2}\noptim: {lr: 2e-3}\nprecision: no\n"
    )
    return tmp_path


def test_later_recipes_lie_over_earlier_ones_field_by_field(recipes):
    told = settled(f"--config={recipes}/a.yaml", "--config", f"{recipes}/b.yaml")
    assert told["objective"] == {
        "name": "code_switch",
        "text_weight": 0.5,
        "frame": {"bos": False},
        "entity_weight": 2,
    }
    assert told["optim"] == {"lr": 2e-3, "warmup": 0.1}
    assert told["precision"] == "no"


def test_options_of_parts_lie_over_all_recipes(recipes):
    told = settled(
        "--objective.entity_weight",
        "0",
        f"--config={recipes}/a.yaml",
        "--objective.frame.eos=false",
        "--model.projector.hidden=16",
        "--model.encoder.image_px",
        "256",
        f"--config={recipes}/b.yaml",
    )
    assert told["objective"]["entity_weight"] == 0
    assert told["objective"]["frame"] == {"bos": False, "eos": False}
    assert told["model"]["projector"] == {"name": "mlp", "hidden": 16, "unshuffle": 2}
    assert told["model"]["encoder"] == {"name": "efficientnet_lite0", "image_px": 256}


def test_added_objectives_are_set_field_by_field(recipes):
    told = settled(
        f"--config={recipes}/a.yaml",
        "--plus.patch_aligned.weight.schedule=linear",
        "--plus.patch_aligned.weight.end",
        "5",
        "--mix.reconstruction.share=0.5",
    )
    weight = {"schedule": "linear", "end": 5}
    assert told["plus"] == {"patch_aligned": {"weight": weight}}
    assert told["mix"] == {"reconstruction": {"share": 0.5}}


def test_another_name_starts_anew_and_the_same_name_goes_on(recipes):
    start = [f"--config={recipes}/a.yaml"]
    assert settled(*start, "--objective", "caption")["objective"] == {"name": "caption"}
    assert settled(*start, "--objective=code_switch")["objective"]["text_weight"] == 0.5
    told = settled(*start, "--model.projector", '{"name": "own.part", "hidden": 1}')
    assert told["model"]["projector"] == {"name": "own.part", "hidden": 1}


def test_a_field_of_a_part_that_no_recipe_names(recipes):
    assert settled("--objective.reduction=sum")["objective"] == {
        "name": "caption",
        "reduction": "sum",
    }


def test_other_arguments_pass(recipes):
    rest = ["--data", "d", "--optim.lr", "1", "--features.folder=f", "--help"]
    assert settle(rest) == rest
    assert settle([*rest, "--objective=caption"])[1:] == rest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E+2", 100.0),
        ("-2.5e4", -25000.0),
        (".5", 0.5),
        ("3", 3),
        ("1.", 1.0),
        ("no", "no"),
        ("off", "off"),
        ("true", True),
        ("null", None),
        ("a.b", "a.b"),
        ("1e", "1e"),
        ("12a", "12a"),
    ],
)
def test_plain_values_are_read_as_people_mean_them(text, value):
    told = settled(f"--objective.x={text}")["objective"]["x"]
    assert told == value
    assert type(told) is type(value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [1, 2", "not valid YAML: .*line 1"),
        ("a: b: c", "not valid YAML"),
        ("- a\n- b", "not a recipe"),
        ("just words", "not a recipe"),
        ("!!python/object/apply:os.system [ls]", "not valid YAML"),
        ("objective: 3", "objective: not a part"),
        ("model: {encoder: [clip]}", r"model\.encoder: not a part"),
        ("optim: 3", "optim: expected fields"),
        ("model: null", "model: expected fields"),
    ],
)
def test_recipes_that_are_none(tmp_path, content, told):
    (tmp_path / "bad.yaml").write_text(content)
    with pytest.raises(ConfigError, match=told) as error:
        settle(["--config", str(tmp_path / "bad.yaml")])
    assert "\n" not in str(error.value)


def test_an_empty_recipe_changes_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert settle(["--config", str(tmp_path / "empty.yaml")]) == []


def test_values_that_are_missing():
    for args in (["--config"], ["--objective"], ["--objective.x", "--data"]):
        with pytest.raises(ConfigError, match="needs a value"):
            settle(args)


def test_recipes_are_found_by_name_and_own_files_first(tmp_path, monkeypatch):
    assert "embedded/code_switch" in carried_recipes()
    assert find("embedded/code_switch").name == "code_switch.yaml"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "code_switch").write_text("")
    assert find("embedded/code_switch").resolve() == tmp_path / "embedded" / "code_switch"
    for name in (
        "nosuch",
        "../cli/recipe",
        "/etc/hostname/x",
        ".",
        "",
        str(tmp_path),
    ):
        with pytest.raises(ConfigError, match="no recipe"):
            find(name)


def test_binary_recipes(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        settle(["--config", str(tmp_path / "x")])


def test_merging_leaves_what_it_is_given_alone():
    below, above = {"optim": {"lr": 1}}, {"optim": {"warmup": 2}}
    assert merge_stage(below, above) == {"optim": {"lr": 1, "warmup": 2}}
    assert (below, above) == ({"optim": {"lr": 1}}, {"optim": {"warmup": 2}})
