"""What all tests share: one thread each, and no time limit on one example of a property."""

import os

from hypothesis import settings

# Tiny tensors on many threads, many workers at once: the threads wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure.
settings.register_profile("diglot", deadline=None)
settings.load_profile("diglot")
