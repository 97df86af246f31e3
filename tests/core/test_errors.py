"""Messages say what, expected, got, where and what to do."""

import pytest

from diglot.core.errors import ConfigError, DataError, DiglotError


def test_the_whole_message() -> None:
    error = DataError("bad box", expected="x0 < x1", got=(1, 0), where="sample 'a'", fix="Swap.")
    assert str(error) == "sample 'a': bad box; expected x0 < x1; got (1, 0). Swap."
    assert (error.what, error.where) == ("bad box", "sample 'a'")


def test_what_is_not_given_leaves_no_trace() -> None:
    assert str(ConfigError("bad")) == "bad"
    assert str(ConfigError("bad", got=0)) == "bad; got 0"
    assert str(ConfigError("bad", fix="Do so.")) == "bad. Do so."


@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_both_are_value_errors(kind: type[DiglotError]) -> None:
    assert issubclass(kind, DiglotError)
    assert issubclass(kind, ValueError)
    assert not issubclass(ConfigError, DataError)
