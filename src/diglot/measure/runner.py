"""The chosen measures of one model, planned first and then asked one after another."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from diglot.config.parts import as_plain
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Meter, Report, ignore_progress
from diglot.core.result import Measure
from diglot.measure.config import STANDARD, check_measures
from diglot.measure.groups import check_apart
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.plan import Pass, Plan, Subject
from diglot.measure.projected import eval_mode


def measure_alignment(
    subject: Subject, *, seed: int = 0, report: Report = ignore_progress
) -> dict[str, Measure]:
    """The chosen measures of one model by key, in order.

    Progress is counted in scenes. A measure's figures depend on its own
    settings and the seed, not on which others are chosen; the same seed gives every model the same
    questions and bootstrap draws. Raises DataError where nothing is held out, a name is empty or
    stands twice, or a held-out picture is in training too; ConfigError for wrong settings.
    """
    _check_subject(subject)
    plans = _plan_measures(subject, seed)
    tokens = sum(plan.tokens for _, plan in plans)
    meter = Meter(report, stage="measure", scenes=len(subject.held_out), tokens=tokens)
    measures: dict[str, Measure] = {}
    with eval_mode(subject.vlm):
        for options, plan in plans:
            meter.begin(plan.what)
            for measure in _ask_plan(subject, plan, meter.advance):
                if measure.key in measures:
                    raise ConfigError("two measures have one key", got=measure.key)
                measures[measure.key] = replace(measure, options=options)
    return measures


def _plan_measures(subject: Subject, seed: int) -> list[tuple[dict[str, object], Plan | Pass]]:
    """Every chosen measure with its settings."""
    return [
        (
            as_plain(part.config),
            part.build(subject=subject, generator=_make_generator(seed, part.name)),
        )
        for part in check_measures(subject.options).values()
    ]


def _make_generator(seed: int, name: str) -> np.random.Generator:
    """A stream of its own for every measure."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    # the first five keep the streams that they have always had, so that figures stay comparable
    key = STANDARD.index(name) if name in STANDARD else len(STANDARD) + digest
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


def _ask_plan(subject: Subject, plan: Plan | Pass, done: Callable[[int], None]) -> list[Measure]:
    if isinstance(plan, Pass):
        return plan.run(done)
    answers = log_likelihoods(
        subject.vlm,
        plan.questions,
        row_tokens=subject.options.row_tokens,
        batch_tokens=subject.options.batch_tokens,
        done=done,
    )
    return plan.conclude(answers)


def _check_subject(subject: Subject) -> None:
    names = subject.names
    if not subject.held_out:
        raise DataError("nothing to measure on", expected="held-out samples", got=0)
    if not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise DataError("candidate names must be distinct and not empty", got=list(names))
    check_apart([p.sample for p in subject.held_out], [p.sample for p in subject.training])
