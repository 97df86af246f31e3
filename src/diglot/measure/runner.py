"""The chosen measures of one model, planned first and then asked one after another."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from diglot.config.parts import as_plain
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Meter, Report, ignore_progress
from diglot.core.result import Measure
from diglot.measure.config import STANDARD, MeasurePart, check_measures
from diglot.measure.groups import check_apart
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.plan import NotFiniteError, Pass, Plan, Subject
from diglot.measure.projected import eval_mode

log = logging.getLogger(__name__)


def measure_alignment(
    subject: Subject, *, seed: int = 0, report: Report = ignore_progress
) -> dict[str, Measure]:
    """The chosen measures of one model by key, in order.

    Progress is counted in scenes. A measure's figures depend on its own
    settings and the seed, not on which others are chosen; the same seed gives every model the same
    questions and bootstrap draws. Where the model's values are not finite a measure is there as
    not measured, and a warning says so. Raises DataError where nothing is held out, a name is
    empty or stands twice, or a held-out picture is in training too; ConfigError for wrong settings.
    """
    _check_subject(subject)
    planned = _plan_measures(subject, seed)
    tokens = sum(plan.tokens for _, plan in planned)
    meter = Meter(report, stage="measure", scenes=len(subject.held_out), tokens=tokens)
    measures: dict[str, Measure] = {}
    with eval_mode(subject.vlm):
        for part, plan in planned:
            meter.begin(plan.what)
            for measure in _try_plan(subject, part, plan, meter.advance):
                if measure.key in measures:
                    raise ConfigError("two measures have one key", got=measure.key)
                measures[measure.key] = replace(measure, options=as_plain(part.config))
    return measures


def _plan_measures(subject: Subject, seed: int) -> list[tuple[MeasurePart, Plan | Pass]]:
    """Every chosen measure with its part."""
    return [
        (part, part.build(subject=subject, generator=_make_generator(seed, part.name)))
        for part in check_measures(subject.options).values()
    ]


def _try_plan(
    subject: Subject, part: MeasurePart, plan: Plan | Pass, done: Callable[[int], None]
) -> list[Measure]:
    """What the plan measures; where the model's values are not finite, each as not measured."""
    try:
        return _ask_plan(subject, plan, done)
    except NotFiniteError as error:
        log.warning("%s: not measured, as %s; is its half precision too small?", plan.what, error)
        empty = replace(subject, held_out=(), training=())
        generator = _make_generator(0, part.name)
        return _ask_plan(empty, part.build(subject=empty, generator=generator), lambda _: None)


def _make_generator(seed: int, name: str) -> np.random.Generator:
    """A stream of its own for every measure."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    # the first five keep the streams that they have always had, so that figures stay comparable
    key = STANDARD.index(name) if name in STANDARD else len(STANDARD) + digest
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def _ask_plan(subject: Subject, plan: Plan | Pass, done: Callable[[int], None]) -> list[Measure]:
    if not all(scene.finite for scene in (*subject.held_out, *subject.training)):
        raise NotFiniteError("visual tokens are not finite")
    if isinstance(plan, Pass):
        return plan.run(done)
    answers = log_likelihoods(
        subject.vlm,
        plan.questions,
        row_tokens=subject.options.row_tokens,
        batch_tokens=subject.options.batch_tokens,
        done=done,
    )
    if not all(np.isfinite(answer).all() for answer in answers):
        raise NotFiniteError("log-likelihoods are not finite")
    return plan.conclude(answers)


def _check_subject(subject: Subject) -> None:
    names = subject.names
    if not subject.held_out:
        raise DataError("nothing to measure on", expected="held-out samples", got=0)
    if not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise DataError("candidate names must be distinct and not empty", got=list(names))
    check_apart([p.sample for p in subject.held_out], [p.sample for p in subject.training])
