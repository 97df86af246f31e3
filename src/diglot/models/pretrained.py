"""A checkpoint of `transformers`, loaded whole or not at all; no code of its own is ever run.

`from_pretrained` alone warns and starts at random what a checkpoint lacks; here that is an error.
It also asks on the terminal whether to run a checkpoint's own code; here the answer is no.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from diglot.core.errors import ConfigError
from diglot.embedded.tower import find_checkpoint
from diglot.files import refuse_missing_folder


class OwnCodeError(ConfigError):
    """A checkpoint whose class is no other than Python code that lies beside its weights."""


def load_pretrained(auto: Any, path: str, *, where: str, needed: str = "", **options: Any) -> Any:
    """The model that `auto.from_pretrained` makes of `path`, from safetensors alone.

    Only weights whose names start with `needed` must be there. Raises ConfigError naming `where`.
    """
    options |= {"use_safetensors": True, "output_loading_info": True}
    model, report = read_pretrained(auto, path, where=where, **options)
    lost = sorted(name for name in report["missing_keys"] if name.startswith(needed))
    if lost:
        raise ConfigError(
            f"the checkpoint {path!r} lacks {len(lost)} weights, such as {lost[0]!r}",
            where=where,
            fix="Download it again, or check that its config.json belongs to its weights.",
        )
    return model


def read_pretrained(auto: Any, path: str, *, where: str, **options: Any) -> Any:
    """What `auto.from_pretrained` makes of `path`: a config, a tokenizer, a processor.

    "embedded_tower" is the image-text pair in the package.
    Raises ConfigError naming `where` for a checkpoint that is missing, broken, or needs own code.
    """
    path = find_checkpoint(path)
    return guard_loading(
        lambda: auto.from_pretrained(path, trust_remote_code=False, **options),
        path=path,
        where=where,
    )


def guard_loading(load: Callable[[], Any], *, path: str, where: str) -> Any:
    """What `load` returns; whatever a broken or missing checkpoint raises becomes a ConfigError."""
    refuse_missing_folder(path, where)
    # a download shows its progress; reading local files takes a second and needs none
    quiet = Path(path).is_dir() and transformers_logging.is_progress_bar_enabled()
    if quiet:
        transformers_logging.disable_progress_bar()
    try:
        return load()
    except ImportError as error:  # FastVlm's tower is timm's
        raise ConfigError(
            f"cannot load {path!r}: {_first_sentence(error)}",
            where=where,
            fix="Install it beside diglot.",
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if "trust_remote_code" in str(error):
            raise OwnCodeError(
                f"cannot load {path!r}: it needs Python code of its own, which is never run here",
                expected="a checkpoint of a class that transformers itself has",
                where=where,
                fix="Look for one that was converted (its name often ends in -hf), or convert it.",
            ) from error
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"cannot load {path!r}: {reason}", where=where, fix=_conversion_advice(path)
        ) from error
    finally:
        if quiet:
            transformers_logging.enable_progress_bar()


def _first_sentence(error: Exception) -> str:
    """What is lacking, without the advice behind it."""
    return " ".join(str(error).split()).split(". ")[0]


def _conversion_advice(path: str) -> str | None:
    """What to do with a checkpoint whose weights are pickled files alone."""
    folder = Path(path)
    if not folder.is_dir() or any(folder.glob("*.safetensors")) or not any(folder.glob("*.bin")):
        return None
    return (
        "Its weights are .bin files, which can run code when read. Convert it once, if you trust "
        "it: load it with transformers and save_pretrained() it to another folder."
    )
