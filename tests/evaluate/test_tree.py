"""Questions of a picture in one pass are scored as if each candidate had its own forward."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from diglot.core.layout import encode, pack
from diglot.core.segments import Image, Tokens
from diglot.evaluate.tree import QuestionTokens, Tree, TreeScorer, tree_mask
from diglot.evaluate.writing import Written, write_answers
from diglot.models.chat import generate_text, project_picture
from tests.tiny import tiny_sample, tiny_vlm

ASKED = (
    QuestionTokens((5, 6, 7), ((8,), (8, 9), (10, 11, 12))),
    QuestionTokens((13,), ((14, 15), (16,))),
    QuestionTokens((5, 6, 17, 18), ((19, 20, 21), (22, 23))),
)


def projected_picture(vlm, seed=0):
    return project_picture(vlm, Picture.open(io.BytesIO(tiny_sample(seed).image)).convert("RGB"))


def slow(vlm, before, projected, one):
    """One plain forward of the language model per candidate, its logits summed by hand."""
    found = []
    for ids in one.candidates:
        text = Tokens((*one.question, *ids))
        counts = [len(projected.grid)] if projected else []
        packed = pack([encode((*before, text), visual_counts=counts, terms=())], row_tokens=1)
        visual = projected.inputs_PD if projected else vlm.language.input_embeddings.weight[:0]
        embeds = vlm.embed(packed, visual)
        with torch.no_grad():
            logits = vlm.language.model(inputs_embeds=embeds).logits[0].double().log_softmax(-1)
        start = embeds.shape[1] - len(ids)
        found.append(sum(float(logits[start - 1 + i, t]) for i, t in enumerate(ids)))
    return found


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("row_tokens", [1024, 4])
def test_scores_equal_one_forward_per_candidate(kind, row_tokens):
    vlm = tiny_vlm(kind)
    projected = projected_picture(vlm)
    before = (Tokens((1, 2)), Image())
    scorer = TreeScorer(vlm, row_tokens=row_tokens)
    got = scorer.score(Tree(before, ASKED, projected))
    assert scorer._honoured
    for one, scores in zip(ASKED, got, strict=True):
        np.testing.assert_allclose(scores, slow(vlm, before, projected, one), atol=1e-4)


def test_questions_without_a_picture_or_a_beginning():
    vlm = tiny_vlm()
    for before in ((), (Tokens((3, 4)),)):
        got = TreeScorer(vlm).score(Tree(before, ASKED))
        for one, scores in zip(ASKED, got, strict=True):
            np.testing.assert_allclose(scores, slow(vlm, before, None, one), atol=1e-4)


def test_a_model_that_does_not_honour_the_mask_is_asked_slowly(monkeypatch):
    vlm = tiny_vlm()
    projected = projected_picture(vlm)
    before = (Tokens((1, 2)), Image())
    want = TreeScorer(vlm).score(Tree(before, ASKED, projected))
    decode = type(vlm.language).decode

    def dropping(self, embeds, **keywords):  # as a decoder that ignores positions and mask
        if "attention_mask" in keywords and keywords["attention_mask"].shape[-1] > 1:
            keywords.pop("position_ids")
        return decode(self, embeds, **keywords)

    monkeypatch.setattr(type(vlm.language), "decode", dropping)
    scorer = TreeScorer(vlm)
    got = scorer.score(Tree(before, ASKED, projected))
    assert scorer._honoured is False
    for one, other in zip(want, got, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_pictures_questions_cost_a_fifth_of_the_positions_of_one_forward_per_candidate():
    """As the offline benchmark has them: 12 questions of 3.5 candidates behind 49 visual tokens."""
    asked = [QuestionTokens((1,) * 16, ((2, 3, 4),) * (3 + n % 2)) for n in range(12)]
    trunk = 49 + 8
    together = trunk + sum(one.positions for one in asked)
    apart = sum((trunk + 16 + 2) * len(one.candidates) for one in asked)
    assert apart >= 5 * together


def test_the_mask_is_the_rule():
    question, candidate, trunk = [1, 1, 1, 2, 2], [0, 1, 2, 0, 3], 2
    mask = tree_mask(question, candidate, trunk, torch.float32)[0, 0] == 0
    q, c = [0] * trunk + question, [0] * trunk + candidate
    for i in range(7):
        for k in range(7):
            want = k <= i and q[k] in (0, q[i]) and c[k] in (0, c[i])
            assert bool(mask[i, k]) == want


def test_answers_written_together_are_those_written_alone():
    vlm = tiny_vlm()
    pictures = [projected_picture(vlm, seed) for seed in range(3)]
    prompts = [
        Written((Tokens((1, 2)), Image(), Tokens(tuple(range(5, 6 + 4 * n)))), projected)
        for n, projected in enumerate(pictures)
    ]
    together = write_answers(vlm, prompts, max_tokens=8)
    alone = [
        generate_text(vlm, prompt.projected, prompt.segments, max_tokens=8) for prompt in prompts
    ]
    assert together == alone
    assert vlm.language.model.config._attn_implementation != "sdpa"  # as it was before
