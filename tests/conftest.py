"""What all tests share: one thread each, whichever library they run."""

import os

# Tiny tensors on many threads, many workers at once: the threads wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
