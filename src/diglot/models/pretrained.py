"""A checkpoint of `transformers`, loaded whole or not at all; no code of its own is ever run.

`from_pretrained` alone warns and starts at random what a checkpoint lacks; here that is an error.
It also asks on the terminal whether to run a checkpoint's own code; here the answer is no.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from diglot.core.errors import ConfigError
from diglot.embedded.checkpoints import find_checkpoint
from diglot.files import refuse_missing_folder


class OwnCodeError(ConfigError):
    """A checkpoint whose class is no other than Python code that lies beside its weights."""


def load_pretrained(auto: Any, path: str, *, where: str, needed: str = "", **options: Any) -> Any:
    """The model that `auto.from_pretrained` makes of `path`, from safetensors alone.

    Only weights whose names start with `needed` must be there. Raises ConfigError naming `where`,
    also for weights that are whole numbers, of other sizes than the model's, or not finite.
    """
    path = find_checkpoint(path)
    options |= {"use_safetensors": True, "output_loading_info": True}
    options |= {"ignore_mismatched_sizes": True}  # its own error does not say which
    model, report = read_pretrained(auto, path, where=where, **options)
    for name, found, expected in sorted(report.get("mismatched_keys", ())):
        raise ConfigError(
            f"a weight of the checkpoint {path!r} is not of its config.json's size",
            expected=f"{name} {tuple(expected)}",
            got=tuple(found),
            where=where,
            fix="Check that config.json belongs to the weights.",
        )
    lost = sorted(name for name in report["missing_keys"] if name.startswith(needed))
    if lost:
        raise ConfigError(
            f"the checkpoint {path!r} lacks {len(lost)} weights, such as {lost[0]!r}",
            where=where,
            fix="Download it again, or check that its config.json belongs to its weights.",
        )
    if not getattr(model.config, "quantization_config", None):
        _check_stored_weights(Path(path), where)
    check_finite(model.named_parameters(), where=where, file=path)
    return model


def check_finite(
    weights: Iterable[tuple[str, torch.Tensor]], *, where: str, file: str | Path
) -> None:
    """Raises ConfigError for a weight with a value that is no number: nothing could come of it."""
    for name, value in weights:
        readable = value.is_floating_point() and not value.is_meta and value.element_size() > 1
        # a sum meets every value once, and is a number only where all are
        if readable and not value.detach().sum(dtype=torch.float32).isfinite():
            raise ConfigError(
                f"the weights of {str(file)!r} are not finite: {name}",
                where=where,
                fix="Download them again, or take a checkpoint from before.",
            )


def _check_stored_weights(folder: Path, where: str) -> None:
    """Raises ConfigError for weights that are whole numbers: they would be taken as they are."""
    for file in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # it is no dict
                kind = opened.get_slice(name).get_dtype()
                if name.endswith(".weight") and kind[0] in "IU":
                    raise ConfigError(
                        f"the weights are whole numbers ({kind}), with no word on their scale",
                        expected="float32, bfloat16 or float16",
                        got=name,
                        where=f"{where}: {file}",
                        fix="Take the checkpoint from before it was quantised.",
                    )


def read_pretrained(auto: Any, path: str, *, where: str, **options: Any) -> Any:
    """What `auto.from_pretrained` makes of `path`: a config, a tokenizer, a processor.

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
    except Exception as error:  # a damaged file raises whatever its reader stumbles over
        if "trust_remote_code" in str(error):
            raise OwnCodeError(
                f"cannot load {path!r}: it needs Python code of its own, which is never run here",
                expected="a checkpoint of a class that transformers itself has",
                where=where,
                fix="Look for one that was converted (its name often ends in -hf), or convert it.",
            ) from error
        reason = _explain_folder(Path(path)) or " ".join(str(error).split())[:300]
        raise ConfigError(
            f"cannot load {path!r}: {reason}", where=where, fix=_conversion_advice(path)
        ) from error
    finally:
        if quiet:
            transformers_logging.enable_progress_bar()


def _first_sentence(error: Exception) -> str:
    """What is lacking, without the advice behind it."""
    return " ".join(str(error).split()).split(". ")[0]


def _explain_folder(folder: Path) -> str | None:
    """The file that is damaged, which its reader's error seldom names."""
    for pattern, find_damage in DAMAGE.items():
        for file in sorted(folder.glob(pattern)) if folder.is_dir() else ():
            if damage := find_damage(file):
                return f"{file.name} {damage}"
    return None


def _find_settings_damage(file: Path) -> str | None:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"is no JSON ({error})"
    is_whole = isinstance(content, dict)
    return None if is_whole else f"holds no settings: expected {{...}}, got {str(content)[:50]}"


def _find_weights_damage(file: Path) -> str | None:
    try:
        with safe_open(file, "pt"):
            return None
    except (OSError, SafetensorError) as error:
        return f"is damaged ({error})"


# Of the files that are read from a checkpoint's folder.
DAMAGE: Mapping[str, Callable[[Path], str | None]] = {
    "*config.json": _find_settings_damage,
    "*token*.json": _find_settings_damage,
    "*.index.json": _find_settings_damage,
    "*.safetensors": _find_weights_damage,
}


def _conversion_advice(path: str) -> str | None:
    """What to do with a checkpoint whose weights are pickled files alone."""
    folder = Path(path)
    if not folder.is_dir() or any(folder.glob("*.safetensors")) or not any(folder.glob("*.bin")):
        return None
    return (
        "Its weights are .bin files, which can run code when read. Convert it once, if you trust "
        "it: load it with transformers and save_pretrained() it to another folder."
    )
