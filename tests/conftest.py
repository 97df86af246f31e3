"""What all tests share: one thread each, and how many examples of a property, of any duration."""

import os

from hypothesis import settings

# Tiny tensors on many threads, many workers at once: the threads wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure. `make test-slow` takes the thorough profile.
settings.register_profile("diglot", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("diglot")
