"""What is loaded is left out of collections while slices are made, and then is as it was."""

import gc

import pytest

from diglot.synth.engines.garbage import freeze_loaded


def is_collected(thing: object) -> bool:
    """Whether a full collection would walk over it."""
    return any(one is thing for one in gc.get_objects())


def test_what_was_loaded_is_left_out_and_what_comes_is_not() -> None:
    loaded = [[]]
    with freeze_loaded():
        come = [[]]
        assert not is_collected(loaded)
        assert is_collected(come)
    assert is_collected(loaded)
    assert gc.get_freeze_count() == 0


def test_an_error_leaves_nothing_frozen() -> None:
    with pytest.raises(KeyError), freeze_loaded():
        raise KeyError
    assert gc.get_freeze_count() == 0


def test_what_the_caller_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        with freeze_loaded():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
