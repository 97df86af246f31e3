"""The one training loop, for every objective and both stages."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from diglot.config.parts import as_plain
from diglot.core.distributed import joins_on_cpu, launched_processes
from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.run_files import METRICS
from diglot.data.config import FeaturesConfig
from diglot.data.features import FeatureCache
from diglot.data.rejected import Rejected
from diglot.models.adapters.stock import is_stock
from diglot.models.checkpoint import CONFIG, PARTS, load_config, load_weights, save_vlm
from diglot.models.export.flow import warn_if_unheld
from diglot.models.export.generation import generation_config
from diglot.models.features import open_features
from diglot.models.trainable import (
    PartCount,
    checkpoint_layers,
    count_part,
    set_trainable,
    train_mode,
)
from diglot.models.vlm import VLM, build_vlm
from diglot.train.batches import Batches, count_tokens, explain_dead_workers
from diglot.train.config import StageConfig, resolve_stage
from diglot.train.datasets import TrainingData, open_data
from diglot.train.gradients import GradientWatch
from diglot.train.integrity import is_finished, mark_finished
from diglot.train.lanes import make_lanes
from diglot.train.mixture import build_mixture
from diglot.train.optim import make_optimizer, set_rates
from diglot.train.order import make_order
from diglot.train.probing import Probing
from diglot.train.run_folder import KEPT, lock_run, open_run
from diglot.train.samples import PreparedSamples, try_records
from diglot.train.sharding import blank_views, check_sharding, read_sharding, whole_weights
from diglot.train.state import load_state, save_state
from diglot.train.step import StepResult, train_step
from diglot.train.stop import StopRequest
from diglot.train.trackers import Tracker, check_trackers, plain_settings

log = logging.getLogger(__name__)

Probe = Callable[[VLM], Mapping[str, float]]


@explain_dead_workers()
def train(
    config: StageConfig,
    *,
    vlm: VLM | None = None,
    probe: Probe | None = None,
    report: Report = ignore_progress,
) -> Path:
    """Run a stage to its end, or resume it, and return the folder of its checkpoint.

    `vlm` saves loading the model again; its parts must be those of `config.model`. `probe` is
    called every `probe_every` steps, and its figures are recorded. Raises ConfigError or DataError
    before step 0 for settings or data that cannot work; NonFiniteLossError with the samples' ids.
    """
    accelerator = _make_accelerator(config)
    if not accelerator.is_main_process:  # one of several processes speaks
        logging.getLogger("diglot").setLevel(logging.ERROR)
    config = resolve_stage(_with_stock_model(config))
    data = open_data(config.sources, most=config.max_samples)
    with lock_run(Path(config.out), active=accelerator.is_main_process):
        with accelerator.main_process_first():
            folder = open_run(config, fingerprint=data.fingerprint)
        if is_finished(folder):
            log.info("%s is finished", folder)
            return folder / "model"
        run = _Run(config, folder, data, vlm, accelerator, report)
        return run.finish(probe)


def _with_stock_model(config: StageConfig) -> StageConfig:
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


class _Run:
    """The parts of a run in progress."""

    def __init__(
        self,
        config: StageConfig,
        folder: Path,
        data: TrainingData,
        vlm: VLM | None,
        accelerator: Accelerator,
        report: Report,
    ) -> None:
        set_seed(config.seed)
        self.config, self.folder = config, folder
        self.accelerator = accelerator
        # steps are counted here: what `accelerate config` says of them would scale the loss
        accelerator.gradient_accumulation_steps = 1
        self.report = report if accelerator.is_main_process else ignore_progress
        self.objective = build_mixture(config.objective, config.plus, config.mix)
        self.data = data
        # before the model is built: some mixtures of data and objectives cannot be
        lanes = make_lanes(data, self.objective.shares, self.objective.takes)
        self.order = make_order(config, lanes)
        with self.accelerator.main_process_first():  # it may have to mend the file
            self.rejected = Rejected(folder / "rejected.jsonl")
        if vlm is None:
            warn_if_unheld(config.model)
        self.vlm = vlm or build_vlm(config.model, seed=config.seed)
        if config.start_from:
            load_weights(self.vlm, Path(config.start_from))
        self.objective.adopt_template(self.vlm.language)
        _check_generation(self.vlm)
        self.counts = set_trainable(self.vlm, config.trainable)
        if config.gradient_checkpointing:
            checkpoint_layers(self.vlm)
        self.vlm.heads = self.objective.heads
        _log_parts([*self.counts, count_part("heads", self.vlm.heads)])
        samples = self._prepare_samples()
        self.batches = Batches(samples, self.order, config, accelerator, self.rejected)
        self.dummy = self.batches.first_usable()

    def _prepare_samples(self) -> PreparedSamples:
        parts = self.data, self.vlm.processor, self.objective, self.config.seed
        self.vlm.to(self.accelerator.device)
        plain = PreparedSamples(*parts)
        try_records(plain, self.order.lanes)
        if self.config.features is None:
            return plain
        return PreparedSamples(*parts, self._open_caches(self.config.features))

    def _open_caches(self, config: FeaturesConfig) -> list[FeatureCache]:
        """The features of each dataset."""
        return [
            open_features(
                self.vlm,
                source.dataset,
                config,
                self.rejected.of_dataset(source.name),
                self.report,
                self.accelerator,
                first=source.records,
            )
            for source in self.data.sources
        ]

    def finish(self, probe: Probe | None) -> Path:
        """Train to the end and write the checkpoint."""
        config = self.config
        optimizer = make_optimizer(self.vlm, config.optim)
        check_sharding(self.accelerator, self.vlm)
        self.blank = self._blank_views()
        model, optimizer = self.accelerator.prepare(self.vlm, optimizer)
        start = load_state(self.folder / "state", model, optimizer, self.accelerator)
        log.info("steps %d to %d of %s", start, self.order.steps, self.folder)
        active = self.accelerator.is_main_process
        watch = GradientWatch(self.vlm, [count.part for count in self.counts if count.learn])
        with (
            self._others() as others,
            Tracker(self.folder, start=start, active=active, others=others) as tracker,
            StopRequest(self.accelerator) as stop,
        ):
            probing = self._probing(probe)
            self._steps(model, optimizer, start, tracker, probing, stop, watch)
            probing.log_cost()
        watch.close()
        return self._write_result()

    def _blank_views(self) -> tuple[torch.Tensor, ...]:
        """For passes of text alone, which processes need that share a sharded model."""
        if not self.accelerator.is_fsdp2:
            return ()
        return blank_views(self.vlm, "features" if self.config.features else "pixels")

    @contextmanager
    def _others(self) -> Iterator[Callable[..., None] | None]:
        """What passes figures on to the user's own trackers, if there are any."""
        if not self.config.trackers:
            yield None
            return
        settings = plain_settings(as_plain(self.config))
        self.accelerator.init_trackers("diglot", config=settings)
        yield self.accelerator.log
        self.accelerator.end_training()

    def _steps(
        self,
        model: torch.nn.Module,
        optimizer: Any,
        start: int,
        tracker: Tracker,
        probing: Probing,
        stop: StopRequest,
        watch: GradientWatch,
    ) -> None:
        config, steps = self.config, self.order.steps
        batches = self.batches.from_step(start)
        if not start:
            self._keep_model(0)
        for step in range(start, steps):
            began = time.perf_counter()
            rates = set_rates(optimizer, step, steps, config.optim)
            step_batches = next(batches)
            result = train_step(
                model,
                step_batches,
                self.objective,
                optimizer,
                self.accelerator,
                weights=self.objective.weights_at(self.order.progress(step)),
                clip=config.optim.clip,
                dummy=self.dummy,
                blank=self.blank,
            )
            watch.check()
            seconds = time.perf_counter() - began
            tracker.log(step, {**self._figures(step, result), **rates, "seconds": seconds})
            done, total = self.order.done(step), self.order.done(steps - 1)
            rate = count_tokens(step_batches) * self.accelerator.num_processes / seconds
            note = f"loss {result.loss:.3f}, {rate:,.0f} tokens/s"
            self.report(Progress("train", done, total, note))
            self._keep_model(step + 1)
            if figures := probing.after_step(step + 1, seconds):
                tracker.log(step, figures)
            if probing.is_enough:
                log.info("stopped early, after step %d of %d", step + 1, steps)
                break
            stopped = stop.came()
            if stopped or _is_due(step + 1, config.checkpoint_every, steps):
                saved = save_state(
                    self.folder / "state", step + 1, model, optimizer, self.accelerator
                )
                if stopped:
                    note = "its state is saved" if saved else "there is nothing to save yet"
                    log.warning("stopped after step %d of %d; %s", step + 1, steps, note)
                    stop.obey()

    def _figures(self, step: int, result: StepResult) -> dict[str, float]:
        return {
            **({"loss": result.loss} if result.terms else {}),  # a step may supervise nothing
            **{f"loss/{term}": value for term, value in result.terms.items()},
            **{f"items/{term}": value for term, value in result.counts.items()},
            **self._moving_weights(step),
            **result.logs,
            "grad_norm": result.grad_norm,
        }

    def _moving_weights(self, step: int) -> dict[str, float]:
        """The weights that a schedule moves; the others stand in the settings."""
        moving = {
            name
            for member in self.objective.members
            if member.weight.schedule != "constant"
            for name in member.names.values()
        }
        weights = self.objective.weights_at(self.order.progress(step))
        return {f"weight/{term}": weights[term] for term in sorted(moving)}

    def _probing(self, probe: Probe | None) -> Probing:
        def on_model() -> Mapping[str, float]:
            assert probe is not None
            self.vlm.eval()
            with whole_weights(self.vlm, self.accelerator):
                figures = probe(self.vlm)
            train_mode(self.vlm)
            return figures

        config = self.config
        probing = Probing(
            probe=on_model if probe else None,
            every=config.probe_every,
            steps=self.order.steps,
            share=config.probe_share,
            early_stop=config.early_stop,
            accelerator=self.accelerator,
        )
        probing.resume(self.folder / METRICS)
        return probing

    def _keep_model(self, step: int) -> None:
        """Write the model after `step` steps into kept/, where it is due and not the last."""
        every = self.config.keep_every
        if not every or step % every or step == self.order.steps:
            return
        target = self.folder / KEPT / f"step-{step:08d}"
        target.parent.mkdir(exist_ok=True)
        self._save_model(target)

    def _save_model(self, target: Path) -> None:
        self.accelerator.wait_for_everyone()
        main = self.accelerator.is_main_process
        save_vlm(self.vlm, self.config.model, target, parts=self._parts_to_keep(), write=main)

    def _write_result(self) -> Path:
        target = self.folder / "model"
        self._save_model(target)
        if self.accelerator.is_main_process:
            mark_finished(self.folder)
        for reason, count in self.batches.notes.most_common():
            if count:
                log.info("left out: %s, %d times", reason, count)
        rejected = Rejected(self.rejected.path)  # of all processes
        for reason, count in rejected.counts.items():
            log.warning("rejected: %s, %d records (see rejected.jsonl)", reason, count)
        for source in self.data.sources if len(self.data.sources) > 1 else ():
            bad = rejected.records_of(source.name)
            log.info("%s: %d records, %d of them rejected", source.name, source.records, bad)
        return target

    def _parts_to_keep(self) -> tuple[str, ...]:
        """The projector, and whatever this run or the one it started from has changed."""
        learned = {count.part for count in self.counts if count.learn}
        if self.config.trainable.lora:  # its adapters are kept by themselves
            learned -= {"language"}
        if self.vlm.language.merged:  # adapters of a stage before are in its weights
            learned |= {"language"}
        before = Path(self.config.start_from) if self.config.start_from else None
        given = {p for p in PARTS if before and (before / f"{p}.safetensors").exists()}
        return tuple(part for part in PARTS if part in {"projector"} | learned | given)


def _check_generation(vlm: VLM) -> None:
    """Raises ConfigError now for a generation config that would stop the export after training."""
    generation_config(vlm.language.model, vlm.language.tokenizer, None)


def _is_due(step: int, every: int, steps: int) -> bool:
    return step % every == 0 or step == steps


def _log_parts(counts: list[PartCount]) -> None:
    for count in counts:
        if not count.total:
            continue
        log.info("%s: %d of %d parameters learn", count.part, count.learn, count.total)


def _make_accelerator(config: StageConfig) -> Accelerator:
    check_trackers(config.trackers)
    read_sharding()
    try:
        accelerator = Accelerator(
            cpu=joins_on_cpu(),
            mixed_precision=config.precision,
            log_with=[*config.trackers] or None,
            project_dir=config.out,
        )
    except ValueError as error:  # the machine cannot, or this process has begun with another
        reason = " ".join(str(error).split())
        raise ConfigError(reason, got=config.precision, where="precision") from error
    _check_joined(accelerator.num_processes)
    return accelerator


def _check_joined(processes: int) -> None:
    """Raises ConfigError where the launcher's processes do not know of one another."""
    if processes < launched_processes():
        raise ConfigError(
            "the processes that were started have not joined: each would train alone",
            expected=f"{launched_processes()} of them (WORLD_SIZE)",
            got=processes,
            fix="Start them by torchrun or accelerate launch, on one kind of device.",
        )
