"""Texts on a page: unique, and none inside another."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.synth.text_pairs.latin import CHARACTERS
from diglot.synth.text_pairs.words import Draw, list_words


def test_the_list_holds_plain_words_once():
    words = list_words()
    assert len(words) == len(set(words)) > 1000
    assert all(word.isalpha() and word.islower() and 3 <= len(word) <= 10 for word in words)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_no_text_repeats_or_lies_within_another(seed):
    draw = Draw(Random(seed))
    texts = [draw.any() for _ in range(25)] + [draw.price() for _ in range(5)]
    texts += [draw.like(text) for text in texts[:10] if " " not in text]
    for i, text in enumerate(texts):
        assert set(text) <= {*CHARACTERS, " "}
        for other in texts[:i]:
            assert text not in other
            assert other not in text
            assert not set(text.split()) & set(other.split())


def test_a_near_copy_differs_in_one_character():
    draw = Draw(Random(0))
    for text in [draw.long_word(5), draw.price(), draw.number()]:
        other = draw.like(text)
        assert len(other) == len(text)
        assert sum(a != b for a, b in zip(text, other, strict=True)) == 1
