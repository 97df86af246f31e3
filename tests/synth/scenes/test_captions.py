import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.synth.scenes import words
from diglot.synth.scenes.captions import Mention, write_caption
from diglot.synth.scenes.config import STYLES


def mention(phrase, x, y):
    return Mention(
        name=phrase.split(" ")[-1],
        phrase=phrase,
        center_xy=(x, y),
        place=words.name_place((x, y), 100),
    )


mentions = st.lists(
    st.builds(
        mention,
        st.sampled_from(["dog", "small dog", "apple", "red apple", "key", "orange key", "octopus"]),
        st.integers(0, 100),
        st.integers(0, 100),
    ),
    min_size=1,
    max_size=7,
)


@given(mentions, st.sampled_from(STYLES), st.integers(0, 1000))
def test_every_phrase_stands_where_its_span_says(items, style, seed):
    text, spans = write_caption(items, style, np.random.default_rng(seed))
    assert len(spans) == len(items)
    for item, (start, end) in zip(items, spans, strict=True):
        assert text[start:end] == item.phrase
    ordered = sorted(spans)
    assert all(first[1] <= second[0] for first, second in pairwise(ordered))


@given(mentions, st.sampled_from(STYLES), st.integers(0, 1000))
def test_captions_are_clean_sentences(items, style, seed):
    text, _ = write_caption(items, style, np.random.default_rng(seed))
    assert text.endswith(".")
    assert "  " not in text
    assert " ." not in text
    assert text == text.strip()
    for sentence in text[:-1].split(". "):
        assert sentence[0].isupper()
    assert not re.search(r"\ba [aeio]", text)
    assert not re.search(r"\ban [^aeio]", text)


@given(mentions, st.integers(0, 1000))
def test_relations_are_true(items, seed):
    text, spans = write_caption(items, "relations", np.random.default_rng(seed))
    at = {span: item for item, span in zip(items, spans, strict=True)}
    for sentence in re.finditer(r"[^.]+\.", text):
        inside = sorted(s for s in spans if sentence.start() <= s[0] < sentence.end())
        if len(inside) < 2:
            continue
        first, second = (at[span] for span in inside)
        words_used = sentence.group().lower()
        if words_used.strip().startswith(("to the", "above", "below")):
            first, second = second, first
        (x0, y0), (x1, y1) = first.center_xy, second.center_xy
        claims = {
            "to the left of": x0 < x1,
            "to the right of": x0 >= x1,
            "above": y0 < y1,
            "below": y0 >= y1,
        }
        (claim,) = [c for c in claims if c in words_used]
        assert claims[claim], text


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("counts", r"There are two dogs: .* and .*\. There is also an apple at the top left\."),
        ("list", r".* dog .*, and .*\."),
    ],
)
def test_repeated_kinds_are_counted_and_called_another(style, expected):
    items = [mention("dog", 90, 90), mention("dog", 10, 90), mention("apple", 0, 0)]
    for seed in range(20):
        text, _ = write_caption(items, style, np.random.default_rng(seed))
        assert re.fullmatch(expected, text), text
        assert len(re.findall(r"[Aa]nother dog", text)) == 1
        assert len(re.findall(r"\b[Aa] dog", text)) == 1


def test_there_are_many_phrasings():
    items = [mention("dog", 90, 90), mention("key", 10, 90)]
    rng = np.random.default_rng(0)
    texts = {write_caption(items, style, rng)[0] for style in STYLES for _ in range(60)}
    assert len(texts) > 25
