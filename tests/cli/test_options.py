from typing import Any

import pytest
from jsonargparse import ArgumentParser

from diglot.cli.options import merge_options
from diglot.cli.train import add_arguments, read_arguments
from diglot.cli.verb import parse_arguments, verb_parser
from diglot.config.recipes import bundled_recipes, find_recipe
from diglot.core.errors import ConfigError
from diglot.train.config import PARTS, merge_stage


@pytest.fixture(scope="module")
def parser() -> ArgumentParser:
    made = ArgumentParser(exit_on_error=False)
    add_arguments(made)
    return made


@pytest.fixture
def merged(parser):
    def merge(*args: str) -> dict:
        under = (*PARTS, "plus", "mix")
        return merge_options(list(args), parser, merge=merge_stage, open_under=under)

    return merge


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


def test_later_recipes_lie_over_earlier_ones_field_by_field(merged, recipes):
    recipe = merged(f"--config={recipes}/a.yaml", "--config", f"{recipes}/b.yaml")
    assert recipe["objective"] == {
        "name": "code_switch",
        "text_weight": 0.5,
        "frame": {"bos": False},
        "entity_weight": 2,
    }
    assert recipe["optim"] == {"lr": 2e-3, "warmup": 0.1}
    assert recipe["precision"] == "no"


def test_options_of_parts_lie_over_all_recipes(merged, recipes):
    recipe = merged(
        "--objective.entity_weight",
        "0",
        f"--config={recipes}/a.yaml",
        "--objective.frame.eos=false",
        "--model.projector.hidden=16",
        "--model.encoder.image_px",
        "256",
        f"--config={recipes}/b.yaml",
    )
    assert recipe["objective"]["entity_weight"] == 0
    assert recipe["objective"]["frame"] == {"bos": False, "eos": False}
    assert recipe["model"]["projector"] == {"name": "mlp", "hidden": 16, "unshuffle": 2}
    assert recipe["model"]["encoder"] == {"name": "efficientnet_lite0", "image_px": 256}


def test_added_objectives_are_set_field_by_field(merged, recipes):
    recipe = merged(
        f"--config={recipes}/a.yaml",
        "--plus.patch_aligned.weight.schedule=linear",
        "--plus.patch_aligned.weight.end",
        "5",
        "--mix.reconstruction.share=0.5",
    )
    weight = {"schedule": "linear", "end": 5}
    assert recipe["plus"] == {"patch_aligned": {"weight": weight}}
    assert recipe["mix"] == {"reconstruction": {"share": 0.5}}


def test_another_name_starts_anew_and_the_same_name_resumes(merged, recipes):
    start = [f"--config={recipes}/a.yaml"]
    assert merged(*start, "--objective", "caption")["objective"] == {"name": "caption"}
    assert merged(*start, "--objective=code_switch")["objective"]["text_weight"] == 0.5
    recipe = merged(*start, "--model.projector", '{"name": "own.part", "hidden": 1}')
    assert recipe["model"]["projector"] == {"name": "own.part", "hidden": 1}


def test_a_field_of_a_part_that_no_recipe_names(merged, recipes):
    assert merged("--objective.reduction=sum")["objective"] == {
        "name": "caption",
        "reduction": "sum",
    }


def test_other_options_keep_their_words_until_their_type_is_known(merged):
    recipe = merged("--data", "d", "--optim.lr", "1", "--features.folder=f", "--max_samples=null")
    assert recipe["data"] == "d"
    assert recipe["optim"] == {"lr": "1"}
    assert recipe["features"] == {"folder": "f"}
    assert recipe["max_samples"] == "null"


def test_recipes_and_options_are_read_once_into_typed_settings(parser, recipes):
    args = [f"--config={recipes}/a.yaml", "--data=2024", "--out=o", "--optim.lr", "5e-4"]
    given = read_arguments(parser, [*args, "--features.folder=f", "--max_samples=null"])
    assert (given["data"], given["max_samples"]) == ("2024", None)
    assert given["optim"].lr == 5e-4
    assert given["features"].folder == "f"
    assert given["objective"].config.frame.bos is False
    assert given["model"].projector.config.hidden == 8


def test_a_number_given_as_a_word_of_another_trainer_is_answered_with_ours(parser):
    for word, ours in (
        ("--learning_rate=1e-3", "here it is --optim.lr"),
        ("--per_device_train_batch_size", "here it is --micro_batch"),
        ("--gradient-accumulation-steps=4", "--global_batch"),
        ("--bf16", "--precision bf16"),
    ):
        with pytest.raises(ConfigError, match=ours) as error:
            read_arguments(parser, ["--data=d", "--out=o", word])
        assert "unknown argument" in str(error.value)


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
def test_plain_values_are_read_as_people_mean_them(merged, text, value):
    parsed = merged(f"--objective.x={text}")["objective"]["x"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1, 2", "not valid YAML: .*line 1"),
        ("a: b: c", "not valid YAML"),
        ("- a\n- b", "not a recipe"),
        ("just words", "not a recipe"),
        ("!!python/object/apply:os.system [ls]", "not valid YAML"),
        ("a: &a [1]\nb: &b [" + "*a, " * 400 + "]\nc: [" + "*b, " * 400 + "]", "100,000 values"),
        ("a: &a [*a]", "100,000 values"),
        ("a: " + "[" * 5000, "nested too deeply|not valid YAML"),
        ("a: " + "x" * 1_000_001, "too long for a recipe"),
        ("objective: 3", "objective: not a part"),
        ("model: {encoder: [clip]}", r"model\.encoder: not a part"),
        ("optim: 3", "optim: expected fields"),
        ("model: null", "model: expected fields"),
    ],
)
def test_recipes_that_are_none(parser, tmp_path, content, message):
    (tmp_path / "bad.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        read_arguments(parser, ["--config", str(tmp_path / "bad.yaml")])
    assert "\n" not in str(error.value)


def test_an_empty_recipe_changes_nothing(merged, tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert merged("--config", str(tmp_path / "empty.yaml")) == {}


def test_values_that_are_missing(merged):
    for args in (["--config"], ["--objective"], ["--objective.x", "--data"]):
        with pytest.raises(ConfigError, match="needs a value"):
            merged(*args)


def test_recipes_are_found_by_name_and_own_files_first(tmp_path, monkeypatch):
    assert "embedded/code_switch" in bundled_recipes()
    assert find_recipe("embedded/code_switch").name == "code_switch.yaml"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "code_switch").write_text("")
    assert find_recipe("embedded/code_switch").resolve() == tmp_path / "embedded" / "code_switch"
    for name in (
        "nosuch",
        "../cli/recipe",
        "/etc/hostname/x",
        ".",
        "",
        str(tmp_path),
    ):
        with pytest.raises(ConfigError, match="no recipe"):
            find_recipe(name)


def test_binary_recipes(merged, tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        merged("--config", str(tmp_path / "x"))


def test_merging_leaves_what_it_is_given_alone():
    below, above = {"optim": {"lr": 1}}, {"optim": {"warmup": 2}}
    assert merge_stage(below, above) == {"optim": {"lr": 1, "warmup": 2}}
    assert (below, above) == ({"optim": {"lr": 1}}, {"optim": {"warmup": 2}})


def test_settings_of_a_part_may_be_named_one_by_one() -> None:
    def evaluate(options: dict[str, Any] | None = None) -> None:
        """Evaluate."""

    parser = verb_parser("evaluate", evaluate)
    parser.add_function_arguments(evaluate, as_group=False)
    words = ["--options.presence.limit", "400", "--options.presence.ways", "[generate]"]
    expected = {"presence": {"limit": 400, "ways": ["generate"]}}
    assert parse_arguments(parser, words) == {"options": expected}
    assert parse_arguments(parser, words[:2]) == {"options": {"presence": {"limit": 400}}}
    assert parse_arguments(parser, []) == {"options": None}
