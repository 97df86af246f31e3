"""How many phrases are found in their captions, and rightly: on captions marked by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.synth.phrases.marked_captions import measure_spans, read_marked

from diglot.synth.phrases.assign import WantedPhrase, assign_spans
from diglot.synth.phrases.words import fold_text, split_words

# The one that is known to fail: without a dictionary, a word in a longer Chinese word.
KNOWN = "火车站里有一列火车"


def test_spans_are_right_on_marked_captions() -> None:
    marked = read_marked()
    assert len(marked) >= 200
    quality = measure_spans(marked)
    print(f"precision {quality.precision:.4f}, recall {quality.recall:.4f}, {quality.there} spans")
    assert not [mistake for mistake in quality.mistakes if KNOWN not in mistake]
    assert quality.precision > 0.99
    assert quality.recall > 0.99


@pytest.mark.parametrize("separator", [" ", ", ", " and "])
def test_a_repeated_phrase_takes_its_mentions_in_order(separator: str) -> None:
    caption = separator.join(["a dog"] * 4)
    spans = assign_spans(caption, [WantedPhrase("dog")] * 5)
    starts = [span[0] for span in spans[:4] if span]
    assert starts == sorted(starts)
    assert len(starts) == 4
    assert spans[4] is None


WORDS = st.sampled_from(
    [
        "dog",
        "dogs",
        "hat",
        "red",
        "red-hat",
        "man's",
        "the",
        "in",
        "猫",
        "ソファ",
        "собаку",
        "'",
        "-",
    ]
)


@given(st.lists(WORDS, max_size=12), st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=6))
def test_spans_are_whole_words_that_are_never_shared(
    caption: list[str], phrases: list[list[str]]
) -> None:
    text = " ".join(caption)
    mentions = [WantedPhrase(" ".join(words)) for words in phrases]
    found = [span for span in assign_spans(text, mentions) if span]
    assert len(found) == len(set(found))
    starts, ends = {w.start for w in split_words(text)}, {w.end for w in split_words(text)}
    for start, end in found:
        assert 0 <= start < end <= len(text)
        inner = text[start:end].strip("'\"-")
        assert text.find(inner, start) in starts
        assert text.find(inner, start) + len(inner) in ends
    for a, b in ((a, b) for a in found for b in found if a != b):
        assert (
            a[1] <= b[0]
            or b[1] <= a[0]
            or (a[0] <= b[0] and b[1] <= a[1])
            or (b[0] <= a[0] and a[1] <= b[1])
        )


@given(st.text(max_size=40))
def test_any_text_is_cut_into_words_that_lie_in_it(text: str) -> None:
    words = split_words(text)
    assert all(text[word.start : word.end] == word.raw for word in words)
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert fold_text(fold_text(text)) == fold_text(text)


def test_an_occurrence_that_is_not_there_is_overruled() -> None:
    assert assign_spans("a dog and a dog", [WantedPhrase("dog", occurrence=3)]) == [(2, 5)]
