"""The model of a run: what it starts from, what learns in it, and which parts are written."""

import logging
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from diglot.core.errors import ConfigError
from diglot.core.run_files import KEPT
from diglot.models.adapters.stock import is_stock
from diglot.models.checkpoint import (
    CONFIG,
    PARTS,
    has_language,
    load_config,
    load_language,
    load_weights,
    part_file,
    save_vlm,
)
from diglot.models.export.flow import warn_if_unheld
from diglot.models.export.generation import generation_config
from diglot.models.trainable import PartCount, checkpoint_layers, count_part, set_trainable
from diglot.models.vlm import VLM, build_vlm
from diglot.train.config import StageConfig
from diglot.train.integrity import is_noted, note_kept
from diglot.train.mixture import Mixture

log = logging.getLogger(__name__)


def with_stock_model(config: StageConfig) -> StageConfig:
    """A run that starts from a stock model, or from a run that did, has that model's parts."""
    start = config.start_from
    if start is None or config.model.stock:
        return config
    if (Path(start) / CONFIG).exists():
        stock = load_config(Path(start)).stock
        return replace(config, model=replace(config.model, stock=stock))
    if not is_stock(start):
        return config
    return replace(config, model=replace(config.model, stock=start), start_from=None)


def open_model(config: StageConfig, objective: Mixture, vlm: VLM | None) -> VLM:
    """The model with the weights that the stage starts from; `vlm`, where it is loaded already."""
    if vlm is None:
        warn_if_unheld(config.model)
    vlm = vlm or build_vlm(config.model, seed=config.seed)
    load_start(vlm, config)
    objective.adopt_template(vlm.language)
    # refused now, not by the export after training
    generation_config(vlm.language.model, vlm.language.tokenizer, None)
    return vlm


def load_start(vlm: VLM, config: StageConfig) -> None:
    """Put the weights that the stage starts from into its model. Raises ConfigError for others."""
    if config.start_from:
        load_weights(vlm, Path(config.start_from))
    if not config.start_language:
        return
    if config.start_from and has_language(Path(config.start_from)):
        raise ConfigError(
            "start_from has a language model of its own",
            got=config.start_from,
            where=f"start_language: {config.start_language}",
            fix="Leave out start_language, or start from a checkpoint of a projector alone.",
        )
    load_language(vlm, Path(config.start_language))


def choose_learning(vlm: VLM, config: StageConfig, objective: Mixture) -> list[PartCount]:
    """Set what learns, the objective's own heads included, and log it; the counts of each part."""
    counts = set_trainable(vlm, config.trainable)
    if config.gradient_checkpointing:
        checkpoint_layers(vlm)
    vlm.heads = objective.heads
    for count in (*counts, count_part("heads", vlm.heads)):
        if count.total:
            log.info("%s: %d of %d parameters learn", count.part, count.learn, count.total)
    return counts


class ModelWriter:
    """Writes the model of a run: on its way where that is due, and at its end."""

    def __init__(
        self,
        vlm: VLM,
        config: StageConfig,
        folder: Path,
        learned: set[str],
        accelerator: Accelerator,
    ) -> None:
        """`learned` names the parts of the model that the run trains."""
        self._vlm, self._config, self._folder = vlm, config, folder
        self._learned, self._accelerator = learned, accelerator

    def _kept(self, step: int) -> Path:
        return self._folder / KEPT / f"step-{step:08d}"

    def has_kept(self, step: int) -> bool:
        """Whether the model after `step` steps is in kept/, and what it is was recorded."""
        return is_noted(self._folder, self._kept(step))

    def keep(self, step: int, last: int) -> None:
        """Write the model after `step` steps into kept/, where it is due and not the last."""
        every = self._config.keep_every
        if not every or step % every or step == last:
            return
        target = self._kept(step)
        target.parent.mkdir(exist_ok=True)
        self.write(target)
        if self._accelerator.is_main_process:
            note_kept(self._folder, target)

    def write(self, target: Path) -> None:
        """Write a checkpoint into the folder `target`; every process calls it, one writes."""
        self._accelerator.wait_for_everyone()
        main = self._accelerator.is_main_process
        save_vlm(self._vlm, self._config.model, target, parts=self._parts_to_keep(), write=main)

    def _parts_to_keep(self) -> tuple[str, ...]:
        """The projector, and whatever this run or the one it started from has changed."""
        learned = set(self._learned)
        if self._config.trainable.lora:  # its adapters are kept by themselves
            learned -= {"language"}
        if self._vlm.language.merged:  # adapters of a stage before are in its weights
            learned |= {"language"}
        before = self._config.start_from
        given = {p for p in PARTS if before and part_file(Path(before), p).exists()}
        taught = self._config.start_language
        if taught and part_file(Path(taught), "language").exists():
            given |= {"language"}
        return tuple(part for part in PARTS if part in {"projector"} | learned | given)
