"""Labels' word vectors: the mean of their sub-tokens, tokenised as inside a text."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from diglot.core.spans import token_slice
from diglot.models.prompt import tokenize_caption
from diglot.models.words import label_ids, label_means, label_vectors
from tests.tiny import NAMES, TOKENIZERS, tiny_language, tiny_tokenizer


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """Words with the mark of the space before them, which the first word of a text gets too."""
    pieces = ["<unk>", "▁", "▁a", "▁red", "▁dog", "dog"]
    tokenizer = Tokenizer(models.WordLevel({p: i for i, p in enumerate(pieces)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize("name", [*NAMES, "naïve T-shirt", "🎈"])
def test_a_label_is_tokenised_as_behind_another_word(name):
    tokenizer = tiny_tokenizer()
    (space,) = tokenize_caption(" ", tokenizer).ids  # by itself it is no part of the label
    in_text = tokenize_caption(f" {name}", tokenizer).ids
    assert label_ids(f" {name} ", tokenizer) == in_text[in_text[0] == space :]
    assert label_ids(name, tokenizer, leading_space=False) == tokenize_caption(name, tokenizer).ids


def test_a_tokenizer_that_makes_the_space_itself_gets_no_second_one():
    tokenizer = sentencepiece_like()
    for leading_space in (True, False):
        ids = label_ids("red dog", tokenizer, leading_space=leading_space)
        assert tokenizer.convert_ids_to_tokens(list(ids)) == ["▁red", "▁dog"]


def test_blanks_have_no_tokens():
    assert label_ids("  ", tiny_tokenizer()) == ()


def test_the_mean_and_its_gradient():
    words = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    ids = [(1, 2, 1), (), (4,), (1, 2, 1)]
    means = label_means(words, ids)
    slow = [torch.stack([words[i] for i in of]).mean(dim=0) for of in ids if of]
    torch.testing.assert_close(means[[0, 2, 3]], torch.stack(slow))
    assert not means[1].any()
    weight = torch.randn(4, 4, dtype=torch.float64)
    slow_gradient = torch.autograd.grad((weight[[0, 2, 3]] * torch.stack(slow)).sum(), words)
    torch.testing.assert_close(torch.autograd.grad((weight * means).sum(), words), slow_gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_words_are_averaged_in_float32(dtype):
    words = torch.randn(300, 8).to(dtype)
    ids = [tuple(range(300))]
    means = label_means(words, ids)
    assert means.dtype == torch.float32
    torch.testing.assert_close(means, words.float().mean(dim=0, keepdim=True))


def test_no_labels():
    words = torch.randn(6, 4, requires_grad=True)
    means = label_means(words, [])
    assert means.shape == (0, 4)
    means.sum().backward()
    assert words.grad is not None
    assert not words.grad.any()


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_label_is_what_stands_for_it_in_a_caption(kind, name):
    """Its tokens are those of the caption at its span, in each of the three kinds of tokenizer."""
    tokenizer = TOKENIZERS[kind]()
    caption = f"Here is one {name} there."
    text = tokenize_caption(caption, tokenizer)
    start = caption.index(name)
    there = token_slice(text.offsets_T2, (start, start + len(name)))
    assert there is not None
    # a byte-level space may be a token by itself: it is no part of the label
    assert label_ids(f" {name} ", tokenizer) == text.ids[slice(*there)]
    assert tokenizer.decode(label_ids(name, tokenizer)).strip() == name


def test_a_space_before_the_name_is_one_token_too_many_for_sentencepiece():
    tokenizer = TOKENIZERS["sentencepiece"]()
    pieces = tokenizer.convert_ids_to_tokens
    assert pieces(list(tokenize_caption(" dog", tokenizer).ids)) == ["▁", "▁dog"]
    assert pieces(list(label_ids("dog", tokenizer))) == ["▁dog"]


def test_label_vectors_are_means_of_pieces():
    language = tiny_language()
    vectors = label_vectors(["hot air balloon", "dog", " "], language)
    rows = [
        language.input_embeddings.weight[i]
        for i in label_ids("hot air balloon", language.tokenizer)
    ]
    torch.testing.assert_close(vectors["hot air balloon"], sum(rows) / len(rows))
    assert not vectors["dog"].requires_grad
    assert not vectors[" "].any()
