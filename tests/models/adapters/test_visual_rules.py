"""PaliGemma, Gemma 3, Qwen2.5-VL, Qwen3-VL: what their LLMs do to visual tokens is theirs."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from diglot.core.errors import ConfigError
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.segments import Branch, Image, Segment, Tokens
from diglot.evaluate.writing import Written, write_answers
from diglot.models.adapters.names import find_names
from diglot.models.chat import generate_text, project_picture
from diglot.models.config import Frame
from diglot.models.export import stock_run
from diglot.models.export.check import check_export, picture_logits
from diglot.models.export.flow import export_checkpoint
from diglot.models.prompt import open_segments
from diglot.models.visual_rules import VisualRule
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from tests.models.adapters.tiny_stock import SAVE
from tests.models.export.test_export import pictures

WORDS = (20, 21, 22, 23, 24)


@pytest.fixture(scope="module", params=sorted(SAVE))
def stock(request, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = SAVE[request.param](tmp_path_factory.mktemp("stock") / "model")
    # of the forms of attention that the model has, eager alone caps scores
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    vlm = build_vlm(VLMConfig(stock=str(folder))).eval()
    return SimpleNamespace(kind=model.config.model_type, folder=folder, model=model, vlm=vlm)


def stock_inputs(
    stock: SimpleNamespace, ids_T: torch.Tensor, views: Sequence[torch.Tensor], prefix: int
) -> dict[str, Any]:
    """The stock model's inputs; -1 of `ids_T` are visual tokens, `prefix` how many it learns not.

    As its processor makes them: pixels in its layout, and the types of tokens.
    """
    is_image = (ids_T == -1)[None].long()
    written_T = ids_T.where(ids_T >= 0, stock.model.config.image_token_id)
    inputs: dict[str, Any] = {"input_ids": written_T[None]}
    if stock.kind.startswith("qwen"):
        cut = [stock.vlm.encoder.cut_patches(view[None]) for view in views]
        inputs["pixel_values"] = torch.cat([flat for flat, _ in cut])
        inputs["image_grid_thw"] = torch.tensor([[1, *shape[1:3]] for _, shape in cut])
        return inputs | {"mm_token_type_ids": is_image}
    inputs["pixel_values"] = torch.stack(list(views))
    suffix = (torch.arange(len(ids_T)) >= prefix)[None].long()
    return inputs | {"token_type_ids": suffix if stock.kind == "paligemma" else is_image}


def document(vlm: VLM, segments: Sequence[Segment], count: int) -> Any:
    """The document of segments around `count` pictures, with its ids (-1: visual) and views."""
    chosen = pictures()[:count]
    grids = [vlm.token_grid((p.height, p.width)) for p in chosen]
    views = [view for p in chosen for view in vlm.processor.picture_views(p)]
    encoded = encode(
        expand_lines(segments, grids), visual_counts=[len(g) for g in grids], terms=("t",)
    )
    return encoded, encoded.token_T.where(encoded.visual_T < 0, -1), views


@torch.no_grad()
def stock_log_probs(stock: SimpleNamespace, ids_T, views, learned: int) -> torch.Tensor:
    """log p of the last `learned` tokens by the stock model."""
    inputs = stock_inputs(stock, ids_T, views, len(ids_T) - learned)
    logits_TV = stock.model(**inputs).logits[0].log_softmax(-1)
    return logits_TV[-learned - 1 : -1].gather(1, ids_T[-learned:, None])[:, 0]


@torch.no_grad()
def test_logits_of_pictures_are_the_models(stock, monkeypatch) -> None:
    moved = []
    for picture in pictures():
        mine = picture_logits(stock.vlm, picture)
        inputs = stock_inputs(stock, mine.ids_T, list(mine.pixels_V3HW), len(mine.ids_T))
        theirs_TV = stock.model(**inputs).logits[0][mine.ids_T >= 0]
        torch.testing.assert_close(mine.logits_TV, theirs_TV, rtol=1e-4, atol=1e-4)
        with monkeypatch.context() as patch:  # read like words they are others
            patch.setattr(stock.vlm.language, "rule", VisualRule())
            plain = picture_logits(stock.vlm, picture)
        moved.append((plain.logits_TV - theirs_TV).abs().max().item())
    assert max(moved) > 1e-3, moved  # ten times what is allowed above


@torch.no_grad()
def test_packed_documents_learn_what_the_model_predicts(stock) -> None:
    """Two pictures in one document, one in another, side by side in a row."""
    text, learned = Tokens(WORDS[:3]), Tokens(WORDS[1:], "t")
    two, one = [text, Image(0), text, Image(1), text, learned], [text, Image(), text, learned]
    made = [document(stock.vlm, two, 2), document(stock.vlm, one, 1)]
    packed = pack([encoded for encoded, _, _ in made], row_tokens=512)
    assert len(packed.token_BT) == 1
    views = [view for _, _, of_document in made for view in of_document]
    ours_S = stock.vlm.log_probs(packed, stock.vlm.project(stock.vlm.features(views)))
    want_S = torch.cat([stock_log_probs(stock, ids, v, len(learned.ids)) for _, ids, v in made])
    torch.testing.assert_close(ours_S, want_S, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_branches_are_separate_forwards(stock) -> None:
    head, forks = [Tokens(WORDS[:2]), Image(), Tokens(WORDS[2:])], ((30, 31, 32), (40, 41))
    branches = [Branch(ids, "t") for ids in forks]
    encoded, _, views = document(stock.vlm, [*head, *branches], 1)
    visual = stock.vlm.project(stock.vlm.features(views))
    ours_S = stock.vlm.log_probs(pack([encoded], row_tokens=1), visual)
    alone = [document(stock.vlm, [*head, Tokens(ids, "t")], 1) for ids in forks]
    want = [
        stock_log_probs(stock, ids_T, v, len(ids))
        for (_, ids_T, v), ids in zip(alone, forks, strict=True)
    ]
    torch.testing.assert_close(ours_S, torch.cat(want), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_text_is_written_as_the_model_writes_it(stock) -> None:
    picture, tokenizer = pictures()[0], stock.vlm.language.tokenizer
    prompt = open_segments(Frame(after=" it"), tokenizer, image=True)
    _, ids_T, views = document(stock.vlm, prompt, 1)
    inputs = stock_inputs(stock, ids_T, views, len(ids_T))
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    want = stock.model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, len(ids_T) :]
    projected = project_picture(stock.vlm, picture)
    got = generate_text(stock.vlm, projected, prompt, max_tokens=8)
    assert got == tokenizer.decode(want, skip_special_tokens=True).strip()
    assert write_answers(stock.vlm, [Written(tuple(prompt), projected)], max_tokens=8) == [got]


def test_tokens_are_those_of_the_stock_processor(stock) -> None:
    if stock.kind.startswith("qwen"):
        pytest.skip("its processor needs torchvision, for its video part")
    picture, tokenizer = pictures()[0], stock.vlm.language.tokenizer
    processor = AutoProcessor.from_pretrained(stock.folder, backend="pil")
    mark = {"paligemma": "<image>", "gemma3": "<|bos|><boi>"}[stock.kind]
    inputs = processor(images=[[picture]], text=[mark + "a dog"], return_tensors="pt")
    after = "a dog\n" if stock.kind == "paligemma" else "a dog"
    _, ids_T, views = document(
        stock.vlm, open_segments(Frame(after=after), tokenizer, image=True), 1
    )
    image_id = stock.model.config.image_token_id
    assert inputs["input_ids"][0].tolist() == ids_T.where(ids_T >= 0, image_id).tolist()
    torch.testing.assert_close(inputs["pixel_values"], torch.stack(views))


def test_out_again_unchanged_to_the_bit(stock, tmp_path: Path) -> None:
    kind = stock.model.config.model_type
    export_checkpoint(stock.folder, kind, tmp_path / "again")
    want, got = (load_file(f / "model.safetensors") for f in (stock.folder, tmp_path / "again"))
    assert {n: v.dtype for n, v in want.items()} == {n: v.dtype for n, v in got.items()}
    assert all(value.equal(got[name]) for name, value in want.items())


@torch.no_grad()
def test_a_batch_without_pictures_beside_projected_ones(stock) -> None:
    """Questions whose answers are scored without the picture share the scene's tokens."""
    encoded, ids_T, _ = document(stock.vlm, [Tokens(WORDS[:2]), Tokens(WORDS[2:], "t")], 0)
    _, _, views = document(stock.vlm, [Image()], 1)
    visual = stock.vlm.project(stock.vlm.features(views))
    ours_S = stock.vlm.log_probs(pack([encoded], row_tokens=1), visual)
    is_suffix = (torch.arange(len(ids_T)) >= 2)[None].long() * (stock.kind == "paligemma")
    types = {} if stock.kind.startswith("qwen") else {"token_type_ids": is_suffix}
    logits_TV = stock.model(input_ids=ids_T[None], **types).logits[0].log_softmax(-1)
    want_S = logits_TV[1:-1].gather(1, ids_T[2:, None])[:, 0]
    torch.testing.assert_close(ours_S, want_S, rtol=1e-4, atol=1e-4)


def test_stock_transformers_runs_what_went_out_again(stock, tmp_path: Path) -> None:
    """None of these has a chat template."""
    export_checkpoint(stock.folder, stock.kind, tmp_path / "again")
    result = check_export(tmp_path / "again", stock.vlm, pictures(), run=stock_run.main)
    assert result.passed, result


def test_plain_decoding_of_such_a_model_is_refused(stock) -> None:
    embeds = stock.vlm.language.input_embeddings(torch.tensor([[1, 2, 3]]))
    with pytest.raises(ConfigError, match="reads images with"):
        stock.vlm.language.decode(embeds)


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be taken apart"):
        find_names(SimpleNamespace(model_type="qwen2_audio"))
