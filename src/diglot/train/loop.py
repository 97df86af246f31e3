"""The one training loop, for every objective and both stages."""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from diglot.core.batch import Batch
from diglot.core.errors import DataError
from diglot.core.plugin import build_part
from diglot.data.collate import Laid, collate
from diglot.data.features import FeatureCache
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.models.checkpoint import PARTS, load_weights, save_vlm
from diglot.models.trainable import PartCount, set_trainable, train_mode
from diglot.models.vlm import VLM, build_vlm
from diglot.objectives._objective import Objective
from diglot.train.config import FeaturesConfig, StageConfig, resolve_stage
from diglot.train.features import open_features
from diglot.train.optim import lr_at, make_optimizer
from diglot.train.order import Order, generator
from diglot.train.run_folder import open_run
from diglot.train.samples import PreparedSamples, Rejection
from diglot.train.state import load_state, save_state
from diglot.train.step import StepResult, train_step
from diglot.train.trackers import Tracker

log = logging.getLogger(__name__)

Probe = Callable[[VLM], Mapping[str, float]]
# A run looks for a usable record among its first ones, and stops at once if there is none.
CHECKED_RECORDS = 1000


@dataclass(frozen=True)
class Progress:
    """What a run tells while it goes: for a progress bar."""

    stage: str  # "features" or "train"
    done: int  # samples
    total: int
    loss: float | None = None


Report = Callable[[Progress], None]


def train(
    config: StageConfig,
    *,
    vlm: VLM | None = None,
    probe: Probe | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """Run a stage to its end, or go on with it, and return the folder of its checkpoint.

    `vlm` saves loading the model again; its parts must be those of `config.model`. `probe` is
    called every `probe_every` steps, and its figures are recorded. Raises ConfigError or DataError
    before step 0 for settings or data that cannot work; NonFiniteLossError with the samples' ids.
    """
    accelerator = Accelerator(mixed_precision=config.precision)
    if not accelerator.is_main_process:  # one of several processes speaks
        logging.getLogger("diglot").setLevel(logging.ERROR)
    config = resolve_stage(config)
    dataset = open_dataset(Path(config.data), config.split)
    with accelerator.main_process_first():
        folder = open_run(config, fingerprint=dataset.fingerprint)
    if (folder / "model").exists():
        log.info("%s is finished", folder)
        return folder / "model"
    run = _Run(config, folder, dataset, vlm, accelerator, report)
    return run.finish(probe)


class _Run:
    """The parts of a run in progress."""

    def __init__(
        self,
        config: StageConfig,
        folder: Path,
        dataset: Dataset,
        vlm: VLM | None,
        accelerator: Accelerator,
        report: Report,
    ) -> None:
        set_seed(config.seed)
        self.config, self.folder = config, folder
        self.accelerator = accelerator
        # steps are counted here: what `accelerate config` says of them would scale the loss
        accelerator.gradient_accumulation_steps = 1
        self.report: Report = report if accelerator.is_main_process else _silent
        self.objective: Objective = build_part(
            "diglot.objectives", config.objective, where="objective"
        )
        self.dataset = dataset
        with self.accelerator.main_process_first():  # it may have to mend the file
            self.rejected = Rejected(folder / "rejected.jsonl")
        self.notes: Counter[str] = Counter()
        self.vlm = vlm or build_vlm(config.model, seed=config.seed)
        if config.start_from:
            load_weights(self.vlm, Path(config.start_from))
        self.counts = set_trainable(self.vlm, config.trainable)
        _log_parts(self.counts)
        count = min(len(self.dataset), config.max_samples or len(self.dataset))
        self.order = Order(count, config.global_batch, config.epochs, config.seed)
        self.samples = self._prepare_samples()
        self.spare = self._first_usable()

    def _prepare_samples(self) -> PreparedSamples:
        config, cache = self.config, None
        self.vlm.to(self.accelerator.device)
        if config.features:
            cache = self._features(config.features)
        return PreparedSamples(self.dataset, self.vlm, self.objective, config.seed, cache)

    def _features(self, config: FeaturesConfig) -> FeatureCache:
        return open_features(
            self.vlm,
            self.dataset,
            config,
            self.rejected,
            lambda done, total: self.report(Progress("features", done, total)),
            self.accelerator,
            first=self.order.samples,
        )

    def _first_usable(self) -> Batch:
        """The first record that can be used, as a batch. Raises DataError where none can."""
        reasons: Counter[str] = Counter()
        keys = itertools.chain.from_iterable(
            map(self.order.step, range(self.order.steps_per_epoch))
        )
        for key in itertools.islice(keys, CHECKED_RECORDS):
            item = self.samples[key]
            if isinstance(item, Laid):
                return collate([item], row_tokens=self.config.row_tokens)
            reasons[item.reason] += 1
            if self.accelerator.is_main_process:
                self._set_aside(item)
        raise DataError(
            f"none of the first {reasons.total()} records can be used; "
            f"the commonest reason: {reasons.most_common(1)[0][0]}",
            where=str(self.dataset.folder),
            fix=f"All are listed in {self.rejected.path}.",
        )

    def finish(self, probe: Probe | None) -> Path:
        """Train to the end and write the checkpoint."""
        config = self.config
        optimizer = make_optimizer(self.vlm, config.optim)
        model, optimizer = self.accelerator.prepare(self.vlm, optimizer)
        start = load_state(self.folder / "state", model, optimizer, self.accelerator)
        log.info("steps %d to %d of %s", start, self.order.steps, self.folder)
        active = self.accelerator.is_main_process
        with Tracker(self.folder, start=start, active=active) as tracker:
            self._steps(model, optimizer, start, tracker, probe)
        return self._write_result()

    def _steps(
        self,
        model: torch.nn.Module,
        optimizer: Any,
        start: int,
        tracker: Tracker,
        probe: Probe | None,
    ) -> None:
        config, steps = self.config, self.order.steps
        batches = self._batches(start)
        for step in range(start, steps):
            began = time.perf_counter()
            for group in optimizer.param_groups:
                group["lr"] = lr_at(step, steps, config.optim)
            result = train_step(
                model,
                next(batches),
                self.objective,
                optimizer,
                self.accelerator,
                clip=config.optim.clip,
                spare=self.spare,
            )
            tracker.log(step, self._figures(step, result, time.perf_counter() - began))
            done, total = self.order.done(step), self.order.done(steps - 1)
            self.report(Progress("train", done, total, result.loss))
            if probe and config.probe_every and _due(step + 1, config.probe_every, steps):
                tracker.log(step, self._probe(probe))
            if _due(step + 1, config.checkpoint_every, steps):
                save_state(self.folder / "state", step + 1, model, optimizer, self.accelerator)

    def _figures(self, step: int, result: StepResult, seconds: float) -> dict[str, float]:
        return {
            **({"loss": result.loss} if result.terms else {}),  # a step may supervise nothing
            **{f"loss/{term}": value for term, value in result.terms.items()},
            **{f"items/{term}": value for term, value in result.counts.items()},
            "grad_norm": result.grad_norm,
            "lr": lr_at(step, self.order.steps, self.config.optim),
            "seconds": seconds,
        }

    def _probe(self, probe: Probe) -> dict[str, float]:
        self.vlm.eval()
        figures = probe(self.vlm)
        train_mode(self.vlm)
        return {f"probe/{name}": value for name, value in figures.items()}

    def _batches(self, start: int) -> Iterator[list[Batch | None]]:
        """The micro-batches of every step from `start` on."""
        world = self.accelerator
        plans = [
            self.order.micro_batches(
                step, self.config.micro_batch, world.process_index, world.num_processes
            )
            for step in range(start, self.order.steps)
        ]
        loader = torch.utils.data.DataLoader(
            self.samples,
            batch_sampler=[keys for plan in plans for keys in plan],  # type: ignore[arg-type]
            collate_fn=list,
            num_workers=self.config.workers,
            multiprocessing_context="fork" if self.config.workers else None,
            # its own generator: the global one, which resuming restores, is not drawn from
            generator=generator(self.config.seed, "loader"),
        )
        loaded = iter(loader)
        for plan in plans:
            yield [self._collate(next(loaded)) for _ in plan]

    def _collate(self, prepared: list[Laid | Rejection]) -> Batch | None:
        """Pack what is usable; note what is not, and what the objective left out."""
        usable = [p for p in prepared if isinstance(p, Laid)]
        for item in prepared:
            if isinstance(item, Rejection):
                self._set_aside(item)
            else:
                self.notes.update(item.notes)
        return collate(usable, row_tokens=self.config.row_tokens) if usable else None

    def _set_aside(self, item: Rejection) -> None:
        self.rejected.add(item.id, item.reason, where=item.where, detail=item.detail)

    def _write_result(self) -> Path:
        target = self.folder / "model"
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            save_vlm(self.vlm, self.config.model, target, parts=self._parts_to_keep())
        for reason, count in self.notes.most_common():
            if count:
                log.info("left out: %s, %d times", reason, count)
        for reason, count in Rejected(self.rejected.path).counts.items():  # of all processes
            log.warning("set aside: %s, %d records (see rejected.jsonl)", reason, count)
        return target

    def _parts_to_keep(self) -> tuple[str, ...]:
        """The projector, and whatever this run or the one it started from has changed."""
        learned = {count.part for count in self.counts if count.learn}
        before = Path(self.config.start_from) if self.config.start_from else None
        given = {p for p in PARTS if before and (before / f"{p}.safetensors").exists()}
        return tuple(part for part in PARTS if part in {"projector"} | learned | given)


def _due(step: int, every: int, steps: int) -> bool:
    return step % every == 0 or step == steps


def _log_parts(counts: list[PartCount]) -> None:
    for count in counts:
        log.info("%s: %d of %d parameters learn", count.part, count.learn, count.total)


def _silent(progress: Progress) -> None:
    """Of several processes the main one reports."""
