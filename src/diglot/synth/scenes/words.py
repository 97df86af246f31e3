"""English for scenes: articles, plurals, numbers, and the names of places in a picture."""

_NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_CONSONANT_SOUND = ("uni", "eu", "one", "use", "ufo")
_VOWEL_SOUND = ("hour", "heir", "honest")
_PLURALS = {
    "deer": "deer",
    "sheep": "sheep",
    "fish": "fish",
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "knife": "knives",
    "leaf": "leaves",
    "wolf": "wolves",
    "tomato": "tomatoes",
    "potato": "potatoes",
}
_PLACES = {
    (0, 0): "at the top left",
    (0, 1): "at the top",
    (0, 2): "at the top right",
    (1, 0): "on the left",
    (1, 1): "in the center",
    (1, 2): "on the right",
    (2, 0): "at the bottom left",
    (2, 1): "at the bottom",
    (2, 2): "at the bottom right",
}


def choose_article(phrase: str) -> str:
    """ "a" or "an", by the sound that `phrase` begins with."""
    word = phrase.lower()
    if word.startswith(_VOWEL_SOUND):
        return "an"
    return "an" if word[0] in "aeiou" and not word.startswith(_CONSONANT_SOUND) else "a"


def pluralise_name(name: str) -> str:
    """More than one `name`; only its last word changes."""
    *first, last = name.split(" ")
    return " ".join([*first, _plural_word(last)])


def _plural_word(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def number_words(count: int) -> str:
    """A count in words up to twelve, then in digits."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def name_place(center_xy: tuple[float, float], image_px: int) -> str:
    """Which of the nine fields of a square picture a point lies in: "at the top left"."""
    column, row = (min(2, int(3 * value / image_px)) for value in center_xy)
    return _PLACES[row, column]


def name_relation(first_xy: tuple[float, float], second_xy: tuple[float, float]) -> str:
    """Where the first point lies as seen from the second: "to the left of"."""
    dx, dy = first_xy[0] - second_xy[0], first_xy[1] - second_xy[1]
    if abs(dx) >= abs(dy):
        return "to the left of" if dx < 0 else "to the right of"
    return "above" if dy < 0 else "below"
