"""Counting on the disk gives what a Counter gives."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.synth.words.counts import WordCounts

words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=3)


def expected(counter: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.lists(words, max_size=6), max_size=20), st.integers(0, 5))
def test_equal_to_a_counter(batches: list[list[str]], memory_words: int) -> None:
    with WordCounts(memory_words=memory_words) as counts:
        for batch in batches:
            counts.add(batch)
        found = list(counts.commonest())
    assert found == expected(Counter(word for batch in batches for word in batch))


def test_small_memory_goes_to_the_disk() -> None:
    whole: Counter[str] = Counter()
    with WordCounts(memory_words=50) as counts:
        for start in range(200):
            batch = [f"word {(start * 7 + i) % 500}" for i in range(start % 30)]
            whole.update(batch)
            counts.add(batch)
        assert counts.spills > 10
        assert list(counts.commonest()) == expected(whole)


def test_a_word_may_be_known_and_never_counted() -> None:
    with WordCounts() as counts:
        counts.add(["dog", "the"], times=0)
        counts.add(["dog"])
        assert list(counts.commonest()) == [("dog", 1), ("the", 0)]
