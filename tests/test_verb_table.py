"""The table of commands has every verb of the command line, and every option that writes."""

from tests.test_foreign_outputs import parsers, path_options
from tests.verb_table import CASES


def test_every_verb_has_a_command() -> None:
    verbs = {name for name, _ in parsers()} - {"select"}
    assert {case.name for case in CASES} == verbs


def test_every_option_that_writes_is_given() -> None:
    given = {
        f"{case.name} {word}"
        for case in CASES
        for word in case.words.split()
        if word.startswith("--")
    }
    by_place = {f"{verb} --out" for verb in ("scenes", "select scene-pairs", "select ocr-pairs")}
    assert path_options() <= given | by_place
