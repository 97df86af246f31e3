"""Qwen2.5-VL's ViT, merger and positions around a Qwen2 of one's own, out to the stock class."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.core.view_marks import ViewMarks
from diglot.models.checkpoint import load_vlm, save_vlm
from diglot.models.config import LanguageConfig, Trainable, VLMConfig
from diglot.models.export import stock_run
from diglot.models.export.check import check_export, picture_logits
from diglot.models.export.container import compare_containers
from diglot.models.export.design import read_design
from diglot.models.grid_positions import axis_sections, give_grid_positions
from diglot.models.vlm import VLM, build_vlm
from diglot.objectives import code_switch, instruct
from tests.models.adapters.tiny_stock import save_qwen
from tests.models.export.test_export import export, pictures
from tests.models.test_every_combination import conversation, take_step
from tests.models.tiny_families import tiny_family
from tests.tiny import tiny_language, tiny_sample

MARKS = ViewMarks(
    start="<|vision_start|>",
    end="<|vision_end|>",
    new_tokens=("<|vision_start|>", "<|vision_end|>"),
)
NATIVE = Preprocess(mode="native", image_px=32, min_pixels=1024, max_pixels=4096, marks=MARKS)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> VLMConfig:
    root = tmp_path_factory.mktemp("parts")
    language = tiny_language("qwen2")
    language.model.save_pretrained(root / "qwen2")
    language.tokenizer.save_pretrained(root / "qwen2")
    return VLMConfig(
        encoder={"name": "qwen2_5_vl", "path": str(save_qwen(root / "tower")), "image_px": 32},
        projector={"name": "patch_merger"},
        language=LanguageConfig(path=str(root / "qwen2"), grid_positions=True),
        preprocess=NATIVE,
    )


@pytest.fixture
def vlm(config: VLMConfig) -> VLM:
    made = build_vlm(config, seed=3).eval()
    with torch.no_grad():
        for parameter in made.projector.parameters():  # away from its start, the norm too
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made


def test_stock_transformers_gives_the_same_logits(vlm, config, tmp_path: Path) -> None:
    out = export(vlm, config, "qwen2_5_vl", tmp_path / "out")
    result = check_export(out, vlm, pictures(), run=stock_run.main)
    assert result.passed, result
    assert result.largest_difference < 1e-4
    if find_spec("torchvision"):
        assert result.lacking is None
        assert len(result.answers) == 4
    else:
        assert "orchvision" in result.lacking


def test_plain_positions_give_other_logits(vlm, config, tmp_path: Path) -> None:
    """So the check above would see positions that are counted like words."""
    out = export(vlm, config, "qwen2_5_vl", tmp_path / "out")
    plain = replace(config, language=replace(config.language, grid_positions=False))
    wrong = build_vlm(plain).eval()
    wrong.projector.load_state_dict(vlm.projector.state_dict())
    result = check_export(out, wrong, pictures()[:1], run=stock_run.main)
    assert result.same_tokens
    assert not result.passed


def test_the_folder_opens_again(vlm, config, tmp_path: Path) -> None:
    out = export(vlm, config, "qwen2_5_vl", tmp_path / "out")
    stock = build_vlm(VLMConfig(stock=str(out), preprocess=NATIVE)).eval()
    picture = pictures()[0]
    ours, theirs = picture_logits(vlm, picture), picture_logits(stock, picture)
    assert theirs.ids_T.equal(ours.ids_T)
    theirs_TV = theirs.logits_TV[:, : ours.logits_TV.shape[1]]
    torch.testing.assert_close(theirs_TV, ours.logits_TV, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_keeps_its_positions(vlm, config, tmp_path: Path) -> None:
    save_vlm(vlm, config, tmp_path / "model", parts=("projector",))
    again = load_vlm(tmp_path / "model").eval()
    want, got = (picture_logits(model, pictures()[1]).logits_TV for model in (vlm, again))
    assert got.equal(want)


@pytest.mark.parametrize(
    ("objective", "sample"),
    [(code_switch, tiny_sample(1)), (instruct, conversation())],
    ids=["code_switch", "instruct"],
)
def test_both_stages_take_a_step(vlm, objective, sample) -> None:
    trainable = Trainable(language=objective is instruct)
    take_step(vlm, objective.build(objective.Config()), sample, trainable)


def test_what_does_not_fit_is_named(config: VLMConfig) -> None:
    def reasons(**changes) -> list[str]:
        return compare_containers(read_design(replace(config, **changes)))["qwen2_5_vl"]

    assert reasons() == []
    assert "patch_merger" in reasons(projector={"name": "mlp", "unshuffle": 2})[0]
    plain = replace(config.language, grid_positions=False)
    assert "rows and columns" in reasons(language=plain)[0]
    assert "vision_start" in reasons(preprocess=replace(NATIVE, marks=None))[0]
    assert "native" in reasons(preprocess=replace(NATIVE, mode="squash"))[0]
    others = compare_containers(read_design(config))
    assert all("like words" in " ".join(others[name]) for name in others if name != "qwen2_5_vl")


def test_sections_are_those_of_the_released_models() -> None:
    assert axis_sections(64) == [16, 24, 24]


def test_text_is_read_as_before() -> None:
    """M-RoPE with three equal axes is RoPE; a model with other rotary embeddings is refused."""
    language = tiny_language("qwen2")
    ids = torch.arange(12)[None]
    before = language.model(input_ids=ids).logits
    give_grid_positions(language)
    assert language.model(input_ids=ids).logits.equal(before)
    for kind in ("phi", "gpt2", "gemma3_text"):
        other = tiny_language()
        other.model = tiny_family(kind).eval()
        with pytest.raises(ConfigError, match="rotary"):
            give_grid_positions(other)
