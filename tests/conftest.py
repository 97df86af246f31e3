"""What all tests share: this folder on the path, so that `from tiny import ...` works."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
