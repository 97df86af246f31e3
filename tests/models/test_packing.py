"""One packed forward with branches equals plain forwards, for three kinds of language model."""

from dataclasses import replace

import pytest
import torch

from diglot.core.layout import Packed, encode, pack
from diglot.core.segments import Branch, Encoded, Image, Patches, Segment, Tokens
from diglot.models.vlm import VLM
from tests.tiny import tiny_language, tiny_vlm

TERMS = ("text", "entity")
VISUAL = 5
KINDS = pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
START = (Tokens((0, 9)), Image(), Tokens((10,)))


def entity(patches: tuple[int, ...], *words: int) -> tuple[Segment, ...]:
    return Patches(patches), Branch(words, "entity")


def text(*words: int) -> Tokens:
    return Tokens(words, "text")


BODIES: dict[str, tuple[Segment, ...]] = {
    "no entity": (*START, text(11, 12, 13)),
    "one": (*START, text(11), *entity((1, 2), 20, 21, 22), text(12, 13)),
    "adjacent": (*START, *entity((0,), 20, 21), *entity((4, 3), 30, 31, 32, 33), text(12)),
    "repeated, last": (*START, text(11), *entity((2,), 20, 21), text(14), *entity((2,), 20, 21)),
    "overlapping": (*START, *entity((1, 2), 40), text(15), *entity((2, 3), 41, 42), text(16)),
    "no image prefix": (Tokens((0,)), text(11), *entity((3,), 20, 21, 22), text(12)),
    "many": (
        *START,
        *(
            part
            for n in range(8)
            for part in (*entity((n % VISUAL,), 50 + n, 60 + n, 70 + n), text(80 + n))
        ),
    ),
}


def documents() -> list[Encoded]:
    return [encode(body, visual_counts=[VISUAL], terms=TERMS) for body in BODIES.values()]


def visual_tokens(vlm: VLM, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count * VISUAL, vlm.language.width, generator=generator)


@torch.no_grad()
def plain(vlm: VLM, document: Encoded, visual_PD: torch.Tensor) -> torch.Tensor:
    """Every supervised pair by a forward of its own: exactly the tokens before it, no mask."""
    words = vlm.language.input_embeddings(document.token_T)
    is_visual = document.visual_T >= 0
    words[is_visual] = visual_PD[document.visual_T[is_visual]]
    out = []
    for query, target in zip(document.query_S.tolist(), document.target_S.tolist(), strict=True):
        number, fork = int(document.branch_T[query]), int(document.fork_T[query])
        trunk = torch.arange(fork + 1)
        own = torch.arange(query + 1)[document.branch_T[: query + 1] == number] if number else []
        rows = torch.cat([trunk, torch.as_tensor(own, dtype=torch.int64)])
        logits = vlm.language.model(inputs_embeds=words[rows][None], use_cache=False).logits
        out.append(logits[0, -1].log_softmax(dim=-1)[target])
    return torch.stack(out)


@KINDS
@pytest.mark.parametrize("row_tokens", [1, 40, 400])
@torch.no_grad()
def test_packed_equals_one_plain_forward_a_pair(kind, row_tokens: int) -> None:
    vlm, docs = tiny_vlm(kind), documents()
    visual = visual_tokens(vlm, len(docs))
    packed = pack(docs, row_tokens=row_tokens)
    got = vlm.log_probs(packed, visual)
    views = visual.split(VISUAL)
    want = torch.cat([plain(vlm, d, v) for d, v in zip(docs, views, strict=True)])
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert want.std() > 0.5  # the tiny model is no constant


@KINDS
def test_packed_equals_its_samples_with_gradients(kind) -> None:
    vlm, docs = tiny_vlm(kind), documents()
    visual = visual_tokens(vlm, len(docs)).requires_grad_()
    together = vlm.log_probs(pack(docs, row_tokens=60), visual)
    apart = torch.cat(
        [
            vlm.log_probs(pack([d], row_tokens=1), v)
            for d, v in zip(docs, visual.split(VISUAL), strict=True)
        ]
    )
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)
    ours, theirs = (torch.autograd.grad(x.sum(), visual)[0] for x in (together, apart))
    assert ((ours - theirs).norm() / theirs.norm()) < 1e-5


@KINDS
@torch.no_grad()
def test_branches_do_not_touch_the_trunk(kind) -> None:
    vlm = tiny_vlm(kind)
    visual = visual_tokens(vlm, 1)
    for body in BODIES.values():
        trunk_only = tuple(s for s in body if not isinstance(s, Branch))
        with_, without = (
            pack([encode(b, visual_counts=[VISUAL], terms=TERMS)], row_tokens=1)
            for b in (body, trunk_only)
        )
        trunk = without.token_BT.shape[1]
        hidden, want = (vlm.decode(p, visual).last_hidden_state for p in (with_, without))
        torch.testing.assert_close(hidden[:, :trunk], want, rtol=1e-5, atol=1e-5)
        other = replace(with_, token_BT=with_.token_BT.clone())
        other.token_BT[0, trunk:] = 99  # other words on every branch
        assert vlm.decode(other, visual).last_hidden_state[:, :trunk].equal(hidden[:, :trunk])


@torch.no_grad()
def test_padding_and_neighbours_influence_nothing() -> None:
    vlm, docs = tiny_vlm(), documents()
    visual = visual_tokens(vlm, len(docs))
    packed = pack(docs, row_tokens=50)
    padding = packed.document_BT < 0
    assert padding.any()
    before = vlm.log_probs(packed, visual)
    assert vlm.log_probs(changed(packed, padding), visual).equal(before)
    first = packed.document_BT == 0  # the first document of every row says something else
    spared = ~first.flatten()[packed.query_S]
    assert spared.any()
    after = vlm.log_probs(changed(packed, first), visual)
    assert after[spared].equal(before[spared])
    assert not after[~spared].equal(before[~spared])


def changed(packed: Packed, where_BT: torch.Tensor) -> Packed:
    return replace(packed, token_BT=packed.token_BT.masked_fill(where_BT, 77))


def test_tiny_models_are_of_three_kinds() -> None:
    kinds = {tiny_language(kind).model.config.model_type for kind in ("llama", "qwen2", "qwen3")}
    assert kinds == {"llama", "qwen2", "qwen3"}
