import numpy as np
import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.core.segments import Image, Patches, Tokens
from diglot.measure.likelihood import LikelihoodQuestion, log_likelihoods, without_image
from diglot.measure.projected import project_samples
from diglot.models.prompt import tokenize_caption
from diglot.models.words import label_ids
from tests.tiny import NAMES, tiny_sample, tiny_views, tiny_vlm


def project_samples_of(vlm, count=3):
    samples = [tiny_sample(i, objects=3) for i in range(count)]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


def questions_of(vlm, projected):
    """Prompts with the image, with some of its tokens, with both, and with words alone."""
    tokenizer = vlm.language.tokenizer
    bos = Tokens((tokenizer.bos_token_id,))
    prompt = Tokens(tokenize_caption("\nThe picture shows a", tokenizer).ids)
    names = tuple(label_ids(name, vlm.language.tokenizer) for name in NAMES)
    questions = []
    for i, one in enumerate(projected):
        patches = Patches((i, 4, 7 + i))
        questions += [
            LikelihoodQuestion((bos, patches), names, one),
            LikelihoodQuestion((bos, Image(), prompt), names[i:], one),
            LikelihoodQuestion(
                (bos, Image(), prompt, patches, Tokens(prompt.ids[:2])), names[:2], one
            ),
            LikelihoodQuestion((bos, prompt), names[::-1]),
        ]
    return questions


@torch.no_grad()
def naive(vlm, question):
    """One plain causal forward per candidate, full logits, no mask of ours."""
    parts = []
    for segment in question.trunk:
        if isinstance(segment, Tokens):
            parts.append(
                vlm.language.input_embeddings(torch.tensor(segment.ids, dtype=torch.int64))
            )
        elif isinstance(segment, Image):
            parts.append(question.projected.visual_PD)
        else:
            parts.append(question.projected.visual_PD[list(segment.index)])
    trunk = torch.cat(parts)
    sums = []
    for ids in question.candidates:
        words = vlm.language.input_embeddings(torch.tensor(ids))
        logits = vlm.language.model(inputs_embeds=torch.cat([trunk, words])[None]).logits[0]
        log_probs = logits.double().log_softmax(dim=-1)
        sums.append(sum(log_probs[len(trunk) - 1 + i, token].item() for i, token in enumerate(ids)))
    return np.array(sums)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_equals_one_forward_per_candidate(kind):
    vlm = tiny_vlm(kind)
    questions = questions_of(vlm, project_samples_of(vlm))
    answers = log_likelihoods(vlm, questions, row_tokens=128, batch_tokens=400)
    for question, answer in zip(questions, answers, strict=True):
        np.testing.assert_allclose(answer, naive(vlm, question), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("row_tokens", "batch_tokens"), [(1, 1), (64, 200), (4096, 100_000)])
def test_packing_changes_nothing(row_tokens, batch_tokens):
    vlm = tiny_vlm()
    questions = questions_of(vlm, project_samples_of(vlm, 2))
    want = log_likelihoods(vlm, questions, row_tokens=128, batch_tokens=400)
    got = log_likelihoods(vlm, questions, row_tokens=row_tokens, batch_tokens=batch_tokens)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_images_matter_and_are_not_mixed_up():
    vlm = tiny_vlm()
    projected = project_samples_of(vlm, 2)
    questions = questions_of(vlm, projected)
    swapped = [
        LikelihoodQuestion(q.trunk, q.candidates, projected[1])
        for q in questions
        if q.projected is projected[0]
    ]
    one, other = (
        log_likelihoods(vlm, qs, row_tokens=128, batch_tokens=400)
        for qs in ([q for q in questions if q.projected is projected[0]], swapped)
    )
    assert all(not np.allclose(a, b) for a, b in zip(one, other, strict=True))


def test_counts_its_tokens_and_reports_them():
    vlm = tiny_vlm()
    questions = questions_of(vlm, project_samples_of(vlm))
    done_tokens = []
    log_likelihoods(vlm, questions, row_tokens=128, batch_tokens=100, done=done_tokens.append)
    assert len(done_tokens) > 1
    assert sum(done_tokens) == sum(question.tokens for question in questions)
    one_token = LikelihoodQuestion((Tokens((0, 5)),), ((7,), (8,), (9,)))
    assert one_token.tokens == 2  # candidates of one token cost nothing
    assert LikelihoodQuestion((Tokens((0, 5)),), ((7, 8, 9),)).tokens == 4


def test_without_image_keeps_the_words_alone():
    question = LikelihoodQuestion((Tokens((0,)), Image(), Tokens((5,)), Patches((1,))), ((7,),))
    assert without_image(question) == LikelihoodQuestion((Tokens((0,)), Tokens((5,))), ((7,),))
    with pytest.raises(ConfigError, match="no prior"):
        without_image(LikelihoodQuestion((Tokens(()), Image()), ((7,),)))


def test_no_questions_and_empty_candidates():
    assert log_likelihoods(tiny_vlm(), [], row_tokens=8, batch_tokens=8) == []
    with pytest.raises(ConfigError, match="no tokens"):
        LikelihoodQuestion((Tokens((0,)),), ((),))
