"""Loading an annotator of `transformers`: its model, its device, the name of its revision."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor

from diglot.core.errors import ConfigError
from diglot.models.pretrained import load_pretrained, read_pretrained

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(auto: Any, path: str, dtype: str, *, where: str) -> Any:
    """The model in eval mode. Raises ConfigError for a dtype or checkpoint that is not there."""
    if dtype not in DTYPES:
        raise ConfigError("no such dtype", expected=", ".join(DTYPES), got=dtype, where=where)
    return load_pretrained(auto, path, where=where, dtype=DTYPES[dtype]).eval()


def load_processor(path: str, *, where: str) -> Any:
    """The image processor, in its PIL version: the same pixels with and without torchvision."""
    return read_pretrained(AutoImageProcessor, path, where=where, backend="pil")


def revision_of(model: Any, path: str) -> str:
    """The commit on the hub, or the digest of a local checkpoint's config and weights' names."""
    commit = getattr(model.config, "_commit_hash", None)
    if commit:
        return str(commit)
    return local_revision(path)


def local_revision(path: str) -> str:
    """A digest of the files of a folder: names, sizes, and the bytes of the small ones."""
    digest = hashlib.sha256()
    for file in sorted(Path(path).rglob("*")):
        if file.is_file():
            size = file.stat().st_size
            digest.update(f"{file.relative_to(path).as_posix()} {size}\n".encode())
            if size < 1_000_000:
                digest.update(file.read_bytes())
    return f"local-{digest.hexdigest()[:16]}"
