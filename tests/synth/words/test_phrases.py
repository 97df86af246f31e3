"""Noun phrases of captions: what the pattern takes, and what it leaves."""

import socket

import pytest

from diglot.synth.words.phrases import find_phrases, is_content_word

pytest.importorskip("textblob")


def test_a_phrase_its_nouns_and_its_adjectives() -> None:
    assert find_phrases("Two small brown dogs.") == ["small brown dog", "small", "brown", "dog"]
    assert find_phrases("It shows a hot air balloon") == [
        "hot air balloon",
        "hot",
        "air",
        "balloon",
    ]


def test_attributes_stand_alone_where_no_noun_follows() -> None:
    assert find_phrases("The car is red and the sky is blue") == ["car", "red", "sky", "blue"]
    assert find_phrases("a large, shiny lamp") == ["large", "shiny lamp", "shiny", "lamp"]
    assert "next" not in find_phrases("a dog next to a cat")


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        *[("buses", "bus"), ("women", "woman"), ("pies", "pie"), ("knives", "knife")],
        *[("geese", "goose"), ("clothes", "clothes"), ("trees", "tree"), ("skies", "sky")],
    ],
)
def test_plurals(plural: str, singular: str) -> None:
    assert find_phrases(f"There are two {plural} there") == [singular]


@pytest.mark.parametrize(
    "text", ["", " \n", "!?", "😀 3 of 4", "http://x.y/z", "<b></b>", "'", "--"]
)
def test_what_holds_no_word(text: str) -> None:
    assert find_phrases(text) == []


def test_words_of_other_alphabets_are_words() -> None:
    assert "café" in find_phrases("a café in the town")


def test_content_words() -> None:
    assert all(map(is_content_word, ("dog", "red", "apple")))
    assert not any(map(is_content_word, ("the", "of", "with", "", "3")))


def test_it_works_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lexicon comes with the package: nothing is downloaded, NLTK's corpora least of all."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert find_phrases("A whale and a lamp post") == ["whale", "lamp post", "lamp", "post"]


def test_no_run_of_nouns_is_one_giant_word() -> None:
    found = find_phrases("dog " * 5000)
    assert set(found) == {"dog"}
    assert max(map(len, find_phrases("hot air balloon festival poster wall " * 50))) <= 40
