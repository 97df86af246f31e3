"""SigLIP, a matrix and a Gemma of one's own, trained as PaliGemma reads, out to the stock class."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from diglot.core.attention import additive_mask
from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.core.view_marks import ViewMarks
from diglot.models import decode
from diglot.models.checkpoint import load_vlm, save_vlm
from diglot.models.config import LanguageConfig, Trainable, VLMConfig
from diglot.models.export import stock_run
from diglot.models.export.check import check_export, picture_logits
from diglot.models.export.container import compare_containers
from diglot.models.export.design import read_design
from diglot.models.prompt import open_segments
from diglot.models.vlm import VLM, build_vlm
from diglot.objectives import caption, code_switch, instruct
from tests.models.adapters.test_record_ids import our_ids, record
from tests.models.export.test_export import export, pictures
from tests.models.test_every_combination import conversation, make_batch, take_step
from tests.models.tiny_families import tiny_family
from tests.tiny import BOS, tiny_sample, tiny_tokenizer

CAPS = {"attn_logit_softcapping": 0.5, "final_logit_softcapping": 20.0}
TEXTS: dict[str, dict[str, Any]] = {
    "gemma": {},
    "gemma2": {"sliding_window": 64, "query_pre_attn_scalar": 8, **CAPS},
}
VIEWS = Preprocess(mode="squash", image_px=32, marks=ViewMarks(end=BOS))


@pytest.fixture(scope="module", params=sorted(TEXTS))
def config(request, towers: dict[str, Path], tmp_path_factory) -> VLMConfig:
    folder, tokenizer = tmp_path_factory.mktemp("parts") / request.param, tiny_tokenizer()
    ids = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1}
    tiny_family(request.param, **ids, **TEXTS[request.param]).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return VLMConfig(
        encoder={"name": "siglip", "path": str(towers["siglip_vision"]), "layer": "last"},
        projector={"name": "linear"},
        language=LanguageConfig(path=str(folder), both_ways="prefix"),
        preprocess=VIEWS,
    )


@pytest.fixture
def vlm(config: VLMConfig) -> VLM:
    made = build_vlm(config, seed=3).eval()
    with torch.no_grad():
        for parameter in made.projector.parameters():  # away from its start
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made


def test_stock_transformers_gives_the_same_logits(vlm, config, tmp_path: Path) -> None:
    out = export(vlm, config, "paligemma", tmp_path / "out")
    result = check_export(out, vlm, pictures(), run=stock_run.main)
    assert result.passed, result
    assert result.largest_difference < 1e-4
    assert result.lacking is None
    assert result.pixel_difference < 1e-5
    assert len(result.answers) == 4


def test_plain_attention_gives_other_logits(vlm, config, tmp_path: Path) -> None:
    """So the check above would see a prefix that is read from left to right."""
    out = export(vlm, config, "paligemma", tmp_path / "out")
    vlm.language.rule = type(vlm.language.rule)()
    result = check_export(out, vlm, pictures()[:1], run=stock_run.main)
    assert result.same_tokens
    assert not result.passed


@torch.no_grad()
def test_an_answer_is_learned_as_the_stock_class_learns_it(vlm, config, tmp_path: Path) -> None:
    """Ids and loss are those of its processor's `suffix`, image and question seen both ways."""
    out = export(vlm, config, "paligemma", tmp_path / "out")
    processor = AutoProcessor.from_pretrained(out, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(out, attn_implementation="eager").eval()
    sample = record("image first", turns=2)
    question, answer = (turn.text.replace("<image>\n", "<image>") for turn in sample.turns)
    inputs = processor(
        images=[[pictures()[0]]], text=[question], suffix=[answer], return_tensors="pt"
    )
    ids, learned_at = our_ids(vlm, sample, processor.image_token_id)
    assert ids == inputs["input_ids"][0].tolist()
    assert learned_at == inputs["token_type_ids"][0].tolist().index(1)
    objective = instruct.build(instruct.Config())
    batch = make_batch(vlm, objective, sample)
    (loss,) = objective.loss(vlm(batch, objective.reads), batch).sums.values()
    words = len(vlm.language.tokenizer)  # theirs has rows for places and segments besides
    log_prob_TV = model(**inputs).logits[0, :, :words].log_softmax(-1)
    want_T = log_prob_TV[learned_at - 1 : -1].gather(1, torch.tensor(ids[learned_at:])[:, None])
    torch.testing.assert_close(loss, -want_T.sum(), rtol=1e-5, atol=1e-4)


def test_the_folder_opens_again(vlm, config, tmp_path: Path) -> None:
    out = export(vlm, config, "paligemma", tmp_path / "out")
    stock = build_vlm(VLMConfig(stock=str(out))).eval()
    picture = pictures()[0]
    ours, theirs = picture_logits(vlm, picture), picture_logits(stock, picture)
    assert theirs.ids_T.equal(ours.ids_T)
    theirs_TV = theirs.logits_TV[:, : ours.logits_TV.shape[1]]
    torch.testing.assert_close(theirs_TV, ours.logits_TV, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_keeps_its_rule(vlm, config, tmp_path: Path) -> None:
    save_vlm(vlm, config, tmp_path / "model", parts=("projector",))
    again = load_vlm(tmp_path / "model").eval()
    want, got = (picture_logits(model, pictures()[1]) for model in (vlm, again))
    assert got.ids_T.equal(want.ids_T)
    assert got.logits_TV.equal(want.logits_TV)


@pytest.mark.parametrize("objective", [caption, code_switch, instruct])
def test_both_stages_take_a_step(vlm, objective) -> None:
    sample = conversation() if objective is instruct else tiny_sample(1)
    trainable = Trainable(language=objective is instruct)
    take_step(vlm, objective.build(objective.Config()), sample, trainable)


def test_nothing_stands_before_the_image(vlm) -> None:
    frame = caption.Config().frame
    before, _, _ = open_segments(frame, vlm.language.tokenizer, image=True)
    assert before.ids == ()


def test_what_does_not_fit_is_named(config: VLMConfig) -> None:
    def reasons(**changes) -> list[str]:
        return compare_containers(read_design(replace(config, **changes)))["paligemma"]

    assert reasons() == []
    assert "it has one linear layer" in reasons(projector={"name": "mlp"})[0]
    assert "merges no tokens" in reasons(projector={"name": "linear", "unshuffle": 2})[0]
    causal = replace(config.language, both_ways=None)
    assert "both ways within the prefix" in reasons(language=causal)[0]
    for marks in (None, ViewMarks(end="<|eos|>")):
        assert "the BOS, '<|bos|>'" in reasons(preprocess=replace(VIEWS, marks=marks))[0]
    others = compare_containers(read_design(config))
    assert all(
        "both_ways prefix" in " ".join(others[name]) for name in others if name != "paligemma"
    )


def test_a_decoder_that_reads_all_masks_as_causal_is_refused(config, monkeypatch) -> None:
    def read_as_causal(packed, of, dtype, window=None) -> torch.Tensor:
        return additive_mask(packed, dtype, window=window)

    monkeypatch.setattr(decode, "rule_mask", read_as_causal)
    with pytest.raises(ConfigError, match="reads every mask as a causal one"):
        build_vlm(config)
