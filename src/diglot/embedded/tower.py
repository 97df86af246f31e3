"""The small image-text pair that lies in the package itself: stock SigLIP classes, float16.

It was trained by `diglot.studies.tower`; its card, `README.md` beside the weights, says on what.
"""

from pathlib import Path

from diglot.core.errors import ConfigError

FOLDER = Path(__file__).with_name("tower")


def tower_dir() -> Path:
    """Folder of the pair. Raises ConfigError where this installation has none."""
    if not (FOLDER / "model.safetensors").is_file():
        raise ConfigError(
            "this installation lacks the embedded tower",
            expected=str(FOLDER),
            fix="Install diglot again, from a wheel or a whole checkout.",
        )
    return FOLDER
