"""A VLM on disk: `vlm.json` says the parts, safetensors hold the ones that were trained.

LoRA adapters stand beside them, with their settings: `lora.json`, `lora.safetensors`, which names
in its metadata a few of the weights that they were learned on. A chat template that conversations
were learned under in place of the tokenizer's is `chat_template.jinja`.

Frozen parts are named by their own checkpoints and not copied.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor

from diglot.config.parts import as_plain
from diglot.config.paths import GIVE_CHECKPOINT
from diglot.config.read import read_dataclass
from diglot.core.errors import ConfigError
from diglot.files import explain_missing, replacing_folder
from diglot.models.config import LoraConfig, VLMConfig, check_model_paths
from diglot.models.language import Language
from diglot.models.lora import base_state, check_base, lora_state, place_lora, sample_base
from diglot.models.pretrained import check_finite
from diglot.models.vlm import VLM, build_vlm

CONFIG = "vlm.json"
PARTS = ("projector", "language", "encoder")
LORA, LORA_WEIGHTS = "lora.json", "lora.safetensors"
BASE = "base_weights"  # of the metadata of LORA_WEIGHTS; an earlier version has none
TEMPLATE = "chat_template.jinja"


def part_file(folder: Path, part: str) -> Path:
    """Where a checkpoint has the weights of one of PARTS, if it has them."""
    return folder / f"{part}.safetensors"


def learned_files(folder: Path) -> list[Path]:
    """The files of a checkpoint with what was learned, those that are there."""
    names = (LORA, LORA_WEIGHTS, TEMPLATE)
    files = [part_file(folder, part) for part in PARTS] + [folder / name for name in names]
    return [file for file in files if file.is_file()]


def save_vlm(
    vlm: VLM, config: VLMConfig, folder: Path, *, parts: tuple[str, ...], write: bool = True
) -> None:
    """Write the configuration and the named parts' weights; the folder appears whole.

    Weights that are sharded over processes are gathered, so every process calls it, and one of
    them with `write`.
    """
    states = {part_file(folder, part).name: _whole_state(vlm, part, write) for part in parts}
    if vlm.language.lora:
        states[LORA_WEIGHTS] = _unique_tensors(lora_state(vlm.language), write)
    if not write:
        return
    with replacing_folder(folder) as staging:
        for name, state in states.items():
            base = sample_base(vlm.language) if name == LORA_WEIGHTS else {}
            save_file(state, staging / name, metadata={BASE: json.dumps(base)} if base else None)
        _write_settings(vlm, config, staging)


def _write_settings(vlm: VLM, config: VLMConfig, folder: Path) -> None:
    (folder / CONFIG).write_text(json.dumps(as_plain(config), indent=2) + "\n", encoding="utf-8")
    if vlm.language.learned_template:
        (folder / TEMPLATE).write_text(vlm.language.learned_template, "utf-8")
    if vlm.language.lora:
        (folder / LORA).write_text(
            json.dumps(as_plain(vlm.language.lora), indent=2) + "\n", "utf-8"
        )


def _whole_state(vlm: VLM, part: str, keep: bool) -> dict[str, torch.Tensor]:
    module: nn.Module = getattr(vlm, part)
    state = base_state(vlm.language) if part == "language" else module.state_dict(keep_vars=True)
    return _unique_tensors(state, keep)


def _unique_tensors(state: dict[str, torch.Tensor], keep: bool) -> dict[str, torch.Tensor]:
    """Tied weights once, all whole and contiguous: safetensors refuses shared storage.

    Sharded ones are gathered by all processes together; those that do not `keep` get none.
    """
    known: set[int] = set()
    kept = {}
    for name, value in state.items():
        # an empty shard has no storage to know it by, and all processes must go the same way
        identity = id(value) if isinstance(value, DTensor) else value.data_ptr()
        if identity in known and value.numel():
            continue
        known.add(identity)
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            kept[name] = whole.detach().cpu().contiguous()
    return kept


def load_config(folder: Path) -> VLMConfig:
    """The configuration of a saved VLM. Raises ConfigError where there is none or it is broken."""
    if not folder.is_dir():
        raise ConfigError(f"no such checkpoint: {explain_missing(folder)}", where=str(folder))
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"no checkpoint here: no {CONFIG}",
            where=str(folder),
            fix=GIVE_CHECKPOINT,
        )
    try:
        fields = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(fields, dict):
            raise ConfigError("not the settings of a VLM", got=str(fields)[:50])
        return read_dataclass(VLMConfig, fields, where=None)
    except (OSError, ValueError) as error:  # ValueError: no JSON, too
        raise ConfigError(
            f"no readable {CONFIG}: {error}",
            where=str(folder),
            fix="Give the folder of a checkpoint that `diglot train` wrote.",
        ) from error


def check_checkpoint(folder: Path) -> None:
    """Raises ConfigError for what `load_vlm` would refuse at once; no weight is read.

    For work that comes before loading: the settings, the files of weights, the parts' own folders.
    """
    config = load_config(folder)
    if config.stock:
        return
    check_model_paths(config)
    _check_projector(folder)
    for file in (part_file(folder, part) for part in PARTS):
        if file.exists():
            _check_header(file)


def _check_header(file: Path) -> None:
    try:
        with safe_open(file, "pt") as opened:
            opened.keys()
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"unreadable weights: {error}", where=str(file)) from error


def _check_projector(folder: Path) -> None:
    """Raises ConfigError where a folder has no weights of a projector."""
    if not part_file(folder, "projector").exists():
        is_there = folder.is_dir()
        reason = "it has no projector.safetensors" if is_there else explain_missing(folder)
        raise ConfigError(
            f"no checkpoint here: {reason}",
            where=str(folder),
            fix=GIVE_CHECKPOINT,
        )


def load_vlm(folder: Path) -> VLM:
    """A saved VLM, in eval mode. Raises ConfigError for missing or unfitting weights."""
    vlm = build_vlm(load_config(folder))
    load_weights(vlm, folder)
    return vlm.eval()


def load_weights(vlm: VLM, folder: Path) -> None:
    """Put a saved VLM's weights into one of the same parts. Raises ConfigError as load_vlm does."""
    _check_projector(folder)
    for part in ("projector", "encoder"):
        file = part_file(folder, part)
        if file.exists():
            _load_part(vlm, part, file)
            if part == "encoder":  # features of the weights before are not its features
                vlm.encoder.revision = f"{vlm.encoder.revision}+{_digest_file(file)}"
    _load_learned(vlm, folder)


def load_language(vlm: VLM, folder: Path) -> None:
    """Put what the language model of a saved VLM learned, weights or adapters, into the same model.

    Raises ConfigError for weights that do not fit, and where it learned nothing.
    """
    if not has_language(folder):
        raise ConfigError(
            "its language model learned nothing: it has neither weights nor adapters of its own",
            where=str(folder),
            fix="Give the checkpoint of a run with trainable.language or trainable.lora.",
        )
    _load_learned(vlm, folder)


def has_language(folder: Path) -> bool:
    """Whether a checkpoint has weights, or adapters, of a language model."""
    return part_file(folder, "language").exists() or (folder / LORA).exists()


def _load_learned(vlm: VLM, folder: Path) -> None:
    if (file := part_file(folder, "language")).exists():
        _load_part(vlm, "language", file)
    load_template(vlm.language, folder)
    if (folder / LORA).exists():
        _load_lora(vlm.language, folder)


def load_template(language: Language, folder: Path) -> None:
    """The chat template of a checkpoint's conversations, where it has one of its own."""
    if (folder / TEMPLATE).exists():
        language.use_template((folder / TEMPLATE).read_text("utf-8"))


def _load_lora(language: Language, folder: Path) -> None:
    """Adapters with their settings and weights. Raises ConfigError for files that are none."""
    try:
        settings = LoraConfig(**json.loads((folder / LORA).read_text("utf-8")))
        state, about = _read_tensors(folder / LORA_WEIGHTS)
        base = dict(json.loads(about.get(BASE, "{}")))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ConfigError(f"unreadable LoRA weights: {error}", where=str(folder)) from error
    place_lora(language, settings)
    shapes = {name: value.shape for name, value in lora_state(language).items()}
    if shapes != {name: value.shape for name, value in state.items()}:
        raise ConfigError("LoRA weights of another language model", where=str(folder))
    check_finite(state.items(), where="LoRA", file=folder / LORA_WEIGHTS)
    check_base(language, base, where=str(folder))
    language.model.load_state_dict(state, strict=False)


def _read_tensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a file, and its metadata."""
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118


def _digest_file(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def _load_part(vlm: VLM, part: str, file: Path) -> None:
    """Load one part; a name may be missing only where its tensor is tied to one that is there."""
    module = getattr(vlm, part)
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"unreadable weights: {error}", where=str(file)) from error
    own = module.state_dict()
    for name, value in state.items():
        if name in own and own[name].shape != value.shape:
            raise ConfigError(
                f"weights do not fit the {part}: another size",
                expected=f"{name} {tuple(own[name].shape)}",
                got=tuple(value.shape),
                where=str(file),
            )
        if name in own and own[name].is_floating_point() > value.is_floating_point():
            raise ConfigError(f"the weights are whole numbers: {name}", where=str(file))
    check_finite(state.items(), where=part, file=file)
    missing, unknown = module.load_state_dict(state, strict=False)
    loaded = {own[name].data_ptr() for name in state if name in own}
    lost = [name for name in missing if own[name].data_ptr() not in loaded]
    if lost or unknown:
        raise ConfigError(
            f"weights do not fit the {part}: missing {lost[:3]}, unknown {unknown[:3]}",
            where=str(file),
        )
