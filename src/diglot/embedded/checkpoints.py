"""The checkpoints that diglot has inside, by the paths that stand for them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from diglot.embedded.smollm2 import language_model_dir
from diglot.embedded.tower import tower_dir

FOLDERS: Mapping[str, Callable[[], Path]] = {
    "embedded": language_model_dir,
    "embedded_tower": tower_dir,
}


def find_checkpoint(path: str) -> str:
    """The folder that a name of FOLDERS stands for; any other path as it is.

    Raises ConfigError where it can be neither found nor fetched.
    """
    return str(FOLDERS[path]()) if path in FOLDERS else path
