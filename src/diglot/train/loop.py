"""The one training loop, for every objective and both stages."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from diglot.config.parts import as_plain
from diglot.core.batch import Batch
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.core.run_files import METRICS
from diglot.data.config import FeaturesConfig
from diglot.data.features import FeatureCache
from diglot.data.rejected import REJECTED, Rejected
from diglot.models.features import open_features
from diglot.models.trainable import train_mode
from diglot.models.vlm import VLM
from diglot.train.batches import Batches, count_tokens, explain_dead_workers
from diglot.train.config import StageConfig, resolve_stage
from diglot.train.datasets import TrainingData, open_data
from diglot.train.doubtful import warn_of_doubts, warn_of_short_rows
from diglot.train.gradients import GradientWatch
from diglot.train.integrity import is_finished, mark_finished
from diglot.train.lanes import make_lanes
from diglot.train.launch import make_accelerator, make_updates
from diglot.train.mixture import build_mixture
from diglot.train.optim import set_rates
from diglot.train.order import make_order
from diglot.train.probing import Probing
from diglot.train.run_folder import lock_run, open_run
from diglot.train.run_model import ModelWriter, choose_learning, open_model, with_stock_model
from diglot.train.samples import PreparedSamples, try_records
from diglot.train.sharding import blank_views, check_sharding, whole_weights
from diglot.train.state import load_state, save_state
from diglot.train.step import StepResult, train_step
from diglot.train.stop import StopRequest
from diglot.train.summary import describe_work
from diglot.train.trackers import Tracker, plain_settings
from diglot.train.updates import Updates

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
    accelerator = make_accelerator(config)
    if not accelerator.is_main_process:  # one of several processes speaks
        logging.getLogger("diglot").setLevel(logging.ERROR)
    config = resolve_stage(with_stock_model(config))
    data = open_data(config.sources, most=config.max_samples)
    with lock_run(Path(config.out), active=accelerator.is_main_process):
        with accelerator.main_process_first():
            folder = open_run(config, fingerprint=data.fingerprint)
        if is_finished(folder):
            log.info("%s is finished", folder)
            return folder / "model"
        run = _Run(config, folder, data, vlm, accelerator, report)
        return run.finish(probe)


@dataclass(frozen=True)
class _Session:
    """What the steps of this process work with, from its first step to its last."""

    updates: Updates
    tracker: Tracker
    probing: Probing
    stop: StopRequest
    watch: GradientWatch


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
        self.config, self.folder, self.data = config, folder, data
        self.accelerator = accelerator
        self.report = report if accelerator.is_main_process else ignore_progress
        self.objective = build_mixture(config.objective, config.plus, config.mix)
        # before the model is built: some mixtures of data and objectives cannot be
        lanes = make_lanes(data, self.objective.shares, self.objective.takes)
        self.order = make_order(config, lanes)
        with accelerator.main_process_first():  # it may have to mend the file
            self.rejected = Rejected(folder / REJECTED)
        warn_of_doubts(config, data, self.objective, self.order)
        self.vlm = open_model(config, self.objective, vlm)
        counts = choose_learning(self.vlm, config, self.objective)
        self.learned = [count.part for count in counts if count.learn]
        self.writer = ModelWriter(self.vlm, config, folder, set(self.learned), accelerator)
        samples = self._prepare_samples()
        self.batches = Batches(samples, self.order, config, accelerator, self.rejected)
        self.dummy = self.batches.first_usable()
        log.info("%s", describe_work(config, data, self.order, self.dummy))
        warn_of_short_rows(config.row_tokens, count_tokens([self.dummy]))

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
        check_sharding(self.accelerator, self.vlm)
        self.blank = self._blank_views()
        updates = make_updates(self.vlm, self.config, self.accelerator)
        start = load_state(self.folder / "state", updates)
        log.info("steps %d to %d of %s", start, self.order.steps, self.folder)
        active = self.accelerator.is_main_process
        watch = GradientWatch(self.vlm, self.learned, updates.gradient_of)
        with (
            self._others() as others,
            Tracker(self.folder, start=start, active=active, others=others) as tracker,
            StopRequest(self.accelerator) as stop,
        ):
            probing = self._probing(probe)
            self._take_steps(start, _Session(updates, tracker, probing, stop, watch))
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

    def _take_steps(self, start: int, session: _Session) -> None:
        """All steps from `start` on, or as many as it takes until the run is to end."""
        batches, steps = self.batches.from_step(start), self.order.steps
        probing = session.probing
        if not self.writer.has_kept(start):  # at the seam of a run made longer, too
            self.writer.keep(start, steps)
        for step in range(start, steps):
            seconds = self._take_step(step, batches, session)
            self.writer.keep(step + 1, steps)
            if figures := probing.after_step(step + 1, seconds):
                session.tracker.log(step, figures)
            if probing.is_enough:
                log.info("stopped early, after step %d of %d", step + 1, steps)
                break
            self._save_or_stop(step + 1, session)

    def _take_step(
        self, step: int, batches: Iterator[Sequence[Batch | None]], session: _Session
    ) -> float:
        """One update, recorded and reported; its seconds, waiting for its data included."""
        began = time.perf_counter()
        optim = self.config.optim
        rates = set_rates(session.updates.optimizer, step, self.order.steps, optim)
        step_batches = next(batches)
        result = train_step(
            session.updates,
            step_batches,
            self.objective,
            weights=self.objective.weights_at(self.order.progress(step)),
            clip=optim.clip,
            dummy=self.dummy,
            blank=self.blank,
        )
        session.watch.check()
        seconds = time.perf_counter() - began
        session.tracker.log(step, {**self._figures(step, result), **rates, "seconds": seconds})
        note = f"lr {rates['lr']:.3g}, gradient norm {result.grad_norm:.3g}"
        self._report_step(step, result.loss, count_tokens(step_batches) / seconds, note)
        return seconds

    def _report_step(self, step: int, loss: float, tokens_s: float, note: str) -> None:
        """`tokens_s` are the tokens a second of this process; all have about as many."""
        done, total = self.order.done(step), self.order.done(self.order.steps - 1)
        rate = tokens_s * self.accelerator.num_processes
        note = f"loss {loss:.3f}, {rate:,.0f} tokens/s, {note}"
        self.report(Progress("train", done, total, note))

    def _save_or_stop(self, done: int, session: _Session) -> None:
        """After `done` steps: save the state where it is due, or where a signal ends the run."""
        steps, stopped = self.order.steps, session.stop.came()
        if not stopped and done % self.config.checkpoint_every and done != steps:
            return
        saved = save_state(self.folder / "state", done, session.updates)
        if stopped:
            note = "its state is saved" if saved else "there is nothing to save yet"
            log.warning("stopped after step %d of %d; %s", done, steps, note)
            session.stop.obey()

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

    def _write_result(self) -> Path:
        target = self.folder / "model"
        self.writer.write(target)
        if self.accelerator.is_main_process:
            mark_finished(self.folder)
        self._log_left_out()
        return target

    def _log_left_out(self) -> None:
        """What was left out or rejected, and why."""
        for reason, count in self.batches.notes.most_common():
            if count:
                log.info("left out: %s, %d times", reason, count)
        rejected = Rejected(self.rejected.path)  # of all processes
        for reason, count in rejected.counts.items():
            log.warning("rejected: %s, %d records (see rejected.jsonl)", reason, count)
        for source in self.data.sources if len(self.data.sources) > 1 else ():
            bad = rejected.records_of(source.name)
            log.info("%s: %d records, %d of them rejected", source.name, source.records, bad)
