"""What all tests share: this folder on the path, so that `from tiny import ...` works."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Tiny tensors on many threads, many workers at once: the threads wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
