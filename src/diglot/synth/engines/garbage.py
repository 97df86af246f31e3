"""Garbage collection without pauses, while slices are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def freeze_loaded() -> Iterator[None]:
    """Leave what is loaded, libraries and models, out of every collection of the block.

    A full one walks over all of it, 0.5 to 1 s with torch and transformers, while no thread runs
    and no model works; of what comes later there is little. What is garbage already stays until
    the block ends: a process that does nothing else collects it before. Nothing happens where the
    caller has frozen objects already.
    """
    ours = gc.get_freeze_count() == 0
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
