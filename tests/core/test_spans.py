"""Spans to token slices, and which of overlapping ones stay."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer

from diglot.core.spans import drop_overlaps, token_slice

MANY = settings(max_examples=150, derandomize=True, deadline=None)


def offsets(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs).reshape(-1, 2)


def test_whole_tokens() -> None:
    words = offsets((0, 1), (1, 5), (5, 9), (9, 10))
    assert token_slice(words, (1, 9)) == (1, 3)
    assert token_slice(words, (0, 10)) == (0, 4)
    assert token_slice(words, (9, 10)) == (3, 4)


def test_straddling_token_belongs_to_the_entity() -> None:
    words = offsets((0, 3), (3, 8), (8, 12))
    assert token_slice(words, (4, 8)) == (1, 2)
    assert token_slice(words, (2, 9)) == (0, 3)
    assert token_slice(words, (5, 6)) == (1, 2)


def test_touching_is_not_sharing() -> None:
    words = offsets((0, 3), (3, 6), (6, 9))
    assert token_slice(words, (3, 6)) == (1, 2)


def test_specials_and_empty_texts_belong_to_nothing() -> None:
    assert token_slice(offsets(), (0, 3)) is None
    assert token_slice(offsets((0, 0), (0, 0)), (0, 3)) is None
    assert token_slice(offsets((0, 0), (0, 4), (4, 4)), (0, 4)) == (1, 2)
    assert token_slice(offsets((0, 2)), (2, 5)) is None


def test_several_tokens_of_one_character_stay_together() -> None:
    """A character of several bytes may be several tokens, all with its offsets."""
    words = offsets((0, 1), (1, 2), (1, 2), (1, 2), (2, 3))
    assert token_slice(words, (1, 2)) == (1, 4)


@MANY
@given(st.text(min_size=1, max_size=30), st.data())
def test_bytes_tokenizer_gives_the_bytes_of_the_span(text: str, data: st.DataObject) -> None:
    """One token a byte: the slice of a span is its UTF-8 bytes, emoji and accents included."""
    ids, pairs = [], []
    for at, character in enumerate(text):
        encoded = character.encode("utf-8", "surrogatepass")
        ids += encoded
        pairs += [(at, at + 1)] * len(encoded)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = token_slice(offsets(*pairs), (start, end))
    assert found is not None
    want = text[start:end].encode("utf-8", "surrogatepass")
    assert bytes(ids[found[0] : found[1]]) == want


def test_a_real_byte_level_tokenizer() -> None:
    tokenizer = ByteLevelBPETokenizer()
    text = "the café's 🐈 and the red dog"
    tokenizer.train_from_iterator([text] * 3, vocab_size=300, min_frequency=2)
    encoded = tokenizer.encode(text)
    for entity in ("café", "🐈", "the red dog"):
        start = text.index(entity)
        found = token_slice(offsets(*encoded.offsets), (start, start + len(entity)))
        assert found is not None
        assert entity in tokenizer.decode(encoded.ids[found[0] : found[1]])
        for outside in (encoded.offsets[: found[0]], encoded.offsets[found[1] :]):
            assert all(b <= start or a >= start + len(entity) or a == b for a, b in outside)


slices = st.tuples(st.integers(0, 12), st.integers(1, 5)).map(lambda p: (p[0], p[0] + p[1]))
scored = st.lists(st.tuples(slices, st.sampled_from([0.1, 0.5, 0.5, 0.9])), max_size=7)


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return bool(set(range(*a)) & set(range(*b)))


@MANY
@given(scored)
def test_drop_overlaps_is_the_best_first_disjoint_subset(items: list) -> None:
    """Of all disjoint subsets, the one whose members come first in the order of preference."""
    spans, scores = [s for s, _ in items], [p for _, p in items]
    rank = sorted(
        range(len(items)),
        key=lambda i: (-scores[i], spans[i][0], spans[i][0] - spans[i][1], i),
    )
    best = max(
        (
            subset
            for size in range(len(items) + 1)
            for subset in itertools.combinations(range(len(items)), size)
            if not any(overlap(spans[a], spans[b]) for a, b in itertools.combinations(subset, 2))
        ),
        key=lambda subset: [i in subset for i in rank],
    )
    assert drop_overlaps(spans, scores) == sorted(best, key=lambda i: spans[i][0])


def test_overlap_by_one_shared_token_keeps_the_higher_score() -> None:
    assert drop_overlaps([(0, 3), (2, 5), (5, 6)], [0.4, 0.6, 0.1]) == [1, 2]
    assert drop_overlaps([(0, 3), (3, 5)], [0.4, 0.6]) == [0, 1]
    assert drop_overlaps([], []) == []
