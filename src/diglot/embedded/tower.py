"""The small image-text pair that lies in the package itself: stock SigLIP classes, float16.

It was trained by `diglot.studies.tower`; its card, `README.md` beside the weights, says on what.
"""

from pathlib import Path

from diglot.core.errors import ConfigError

EMBEDDED_TOWER = "embedded_tower"  # the path that stands for it wherever a checkpoint is named
FOLDER = Path(__file__).with_name("tower")


def find_checkpoint(path: str) -> str:
    """The folder that EMBEDDED_TOWER stands for; any other path as it is.

    Raises ConfigError where this installation has no such folder.
    """
    if path != EMBEDDED_TOWER:
        return path
    if not (FOLDER / "model.safetensors").is_file():
        raise ConfigError(
            "this installation lacks the embedded tower",
            expected=str(FOLDER),
            fix="Install diglot again, from a wheel or a whole checkout.",
        )
    return str(FOLDER)
