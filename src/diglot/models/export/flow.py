"""From a checkpoint's folder to a stock folder, and back to the check of it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from diglot.core.errors import ConfigError
from diglot.embedded.photos import photo_files
from diglot.files import lock_folder, read_object
from diglot.models.adapters.stock import is_stock
from diglot.models.checkpoint import CONFIG, check_checkpoint, load_config, load_weights
from diglot.models.export.adapter import take_lora
from diglot.models.export.check import ExportCheck, check_export, odd_pictures
from diglot.models.export.container import (
    compare_containers,
    known_containers,
    load_container,
    nearest_container,
)
from diglot.models.export.design import read_design
from diglot.models.export.folder import ORIGIN, refuse_misfit, refuse_occupied, write_export
from diglot.models.export.stock_folder import write_stock
from diglot.models.lora import merge_lora
from diglot.models.vlm import VLM, VLMConfig, build_vlm

log = logging.getLogger(__name__)


def export_checkpoint(
    checkpoint: Path,
    to: str,
    out: Path,
    *,
    dtype: str | None = None,
    shard_size: str = "5GB",
    adapter: bool = False,
) -> None:
    """Write a checkpoint of `diglot train` as the container `to`.

    `dtype` None keeps the language model's; `adapter` leaves LoRA unmerged, in a folder of peft
    beside the base. Raises ConfigError before any weight is read where the
    container cannot hold it or `out` holds something else, or another process writes there.
    """
    config = open_config(checkpoint)
    if config.stock and adapter:
        raise ConfigError(
            "a model that was opened from a stock checkpoint is written with its LoRA merged",
            where="--adapter",
            fix="Leave it out.",
        )
    if config.stock is None:
        refuse_misfit(load_container(to), read_design(config))
    refuse_occupied(out)
    with lock_folder(out, wait=False):  # from before the model is loaded, which can take minutes
        vlm = load_checkpoint(checkpoint, config, merge=not adapter)
        if config.stock:
            write_stock(vlm, config.stock, to, out, revision=config.language.revision, dtype=dtype)
            return
        write_export(
            vlm,
            read_design(config),
            load_container(to),
            out,
            checkpoint=checkpoint,
            dtype=getattr(torch, dtype) if dtype else None,
            shard_size=shard_size,
            lora=take_lora(vlm.language) if adapter else None,
        )


def check_folder(
    folder: Path, images: Sequence[Path] = (), *, checkpoint: Path | None = None
) -> ExportCheck:
    """Compare an exported folder with the checkpoint it came from, on real photographs.

    Without `images` the embedded photographs are used; `checkpoint` names it where it has moved.
    Raises ConfigError where the folder is no export or the checkpoint has gone.
    """
    try:
        origin = read_object(folder / ORIGIN)
        container, source, dtype = (origin[name] for name in ("container", "checkpoint", "dtype"))
    except (ConfigError, KeyError) as error:
        raise ConfigError(
            f"no export of diglot: it has no readable {ORIGIN}", where=str(folder)
        ) from error
    _check_needs(container)
    source = checkpoint or Path(source)
    config = open_config(source)
    config = replace(config, language=replace(config.language, dtype="float32"))
    files = list(images) or [*photo_files("samples"), *photo_files("objects")[:2]]
    pictures = odd_pictures(files)
    return check_export(folder, load_checkpoint(source, config), pictures, dtype=dtype)


def _check_needs(container: str) -> None:
    """Raises ConfigError where the stock class lacks packages, or it is unknown how to feed it."""
    needs = load_container(container).needs if container in known_containers() else ()
    if lacking := [name for name in needs if find_spec(name) is None]:
        raise ConfigError(
            f"the check runs the stock class, which needs {' and '.join(lacking)}; the folder "
            "itself is whole",
            where="--check",
            fix=f"Install {' '.join(lacking)}, or check where they are.",
        )


def open_config(folder: Path) -> VLMConfig:
    """The configuration of a checkpoint: of `diglot train`, or a stock vision-language model."""
    if not (folder / CONFIG).exists() and is_stock(str(folder)):
        return VLMConfig(stock=str(folder))
    return load_config(folder)


def check_loadable(folder: Path) -> None:
    """Raises ConfigError for a checkpoint that loading would refuse at once; reads no weight."""
    if open_config(folder).stock is None:
        check_checkpoint(folder)


def load_checkpoint(folder: Path, config: VLMConfig, *, merge: bool = True) -> VLM:
    """The VLM of a checkpoint, in eval mode, loaded as `config` says, its LoRA merged."""
    vlm = build_vlm(config)
    if config.stock is None or Path(config.stock) != folder:
        load_weights(vlm, folder)
    if merge:
        merge_lora(vlm.language)
    return vlm.eval()


def warn_if_unheld(config: VLMConfig) -> None:
    """Log which containers will hold a model, or, as a warning, why none will."""
    if config.stock:  # its own
        return
    fitting, nearest = find_containers(config)
    if fitting:
        log.info("the result can be exported to %s", ", ".join(fitting))
        return
    log.warning("no stock container will hold the result (diglot export --list); %s", nearest)


def find_containers(config: VLMConfig) -> tuple[list[str], str]:
    """The containers that will hold a model; where there are none, the nearest and what is lacking.

    A stock model goes back into its own.
    """
    misfits = compare_containers(read_design(config))
    fitting = [name for name, reasons in misfits.items() if not reasons]
    nearest = nearest_container(misfits)
    return fitting, f"the nearest is {nearest}: {'; '.join(misfits[nearest])}"
