"""What all tests share: the test folders on the path, so that `from tiny import ...` works."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# A folder's helpers are imported by their own names, whichever way pytest imports the tests.
HELPERS = sorted({p.parent for p in HERE.rglob("*.py") if not p.name.startswith(("test_", "conf"))})
sys.path[:0] = [str(folder) for folder in HELPERS]

# Tiny tensors on many threads, many workers at once: the threads wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
