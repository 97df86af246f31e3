import pytest

from diglot.synth.scenes import words


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("apple", "an"),
        ("dog", "a"),
        ("small apple", "a"),
        ("orange dog", "an"),
        ("unicorn", "a"),
        ("umbrella", "an"),
        ("hourglass", "an"),
        ("horse", "a"),
        ("Eiffel tower", "an"),
        ("euro", "a"),
    ],
)
def test_articles(phrase, expected):
    assert words.choose_article(phrase) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dog", "dogs"),
        ("deer", "deer"),
        ("butterfly", "butterflies"),
        ("key", "keys"),
        ("octopus", "octopuses"),
        ("torch", "torches"),
        ("tomato", "tomatoes"),
        ("police officer", "police officers"),
        ("snow goose", "snow geese"),
    ],
)
def test_plurals(name, expected):
    assert words.pluralise_name(name) == expected


def test_numbers():
    assert [words.number_words(n) for n in (1, 4, 12, 13)] == ["one", "four", "twelve", "13"]


def test_places_are_thirds():
    assert words.name_place((0, 0), 300) == "at the top left"
    assert words.name_place((150, 150), 300) == "in the center"
    assert words.name_place((300, 150), 300) == "on the right"
    assert words.name_place((199.9, 200), 300) == "at the bottom"


def test_relations_follow_the_longer_way():
    assert words.name_relation((0, 5), (20, 0)) == "to the left of"
    assert words.name_relation((30, 5), (20, 0)) == "to the right of"
    assert words.name_relation((22, -5), (20, 0)) == "above"
    assert words.name_relation((22, 5), (20, 0)) == "below"
