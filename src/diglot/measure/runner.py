"""The measures of alignment of one model: regions, presence, localisation, and the caption loss."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from diglot.core.errors import DataError
from diglot.core.progress import Meter, Report, ignore_progress
from diglot.core.result import Measure
from diglot.measure.caption_nll import plan_caption_nll
from diglot.measure.config import MeasureConfig
from diglot.measure.groups import check_apart
from diglot.measure.likelihood import log_likelihoods
from diglot.measure.localisation import plan_localisation
from diglot.measure.plan import Plan
from diglot.measure.presence import plan_presence
from diglot.measure.projected import ProjectedSample, eval_mode
from diglot.measure.regions import plan_alone, plan_unseen_prompt
from diglot.models.vlm import VLM


def measure_alignment(
    vlm: VLM,
    held_out: Sequence[ProjectedSample],
    training: Sequence[ProjectedSample],
    names: Sequence[str],
    config: MeasureConfig,
    generator: np.random.Generator,
    report: Report = ignore_progress,
) -> dict[str, Measure]:
    """All measures of one model by key, the primary one (region_matching) first.

    `training` serves the choice of the IoU threshold alone; `names` are the candidates of naming.
    Progress is counted in scenes. The same generator seed gives every model the same questions and
    the same bootstrap draws. Raises DataError where nothing is held out, a name is empty or stands
    twice, or a held-out picture is in training too.
    """
    _check(held_out, training, names)
    rngs = iter(generator.spawn(5))
    plans = [
        plan_alone(vlm, held_out, names, config, next(rngs)),
        plan_unseen_prompt(vlm, held_out, names, config, next(rngs)),
        plan_presence(vlm, held_out, config, next(rngs)),
        plan_localisation(vlm, held_out, training, config, next(rngs)),
        plan_caption_nll(vlm, held_out, config, next(rngs)),
    ]
    return _run(vlm, plans, config, len(held_out), report)


def probe(
    vlm: VLM,
    held_out: Sequence[ProjectedSample],
    names: Sequence[str],
    config: MeasureConfig,
    generator: np.random.Generator,
    *,
    scenes: int = 16,
) -> dict[str, Measure]:
    """Region matching, region naming and caption loss on a few scenes: cheap, for use in training.

    About 140 tokens a scene of 4 objects.
    """
    few = replace(config, region_scenes=scenes, caption_scenes=scenes)
    rngs = iter(generator.spawn(2))
    plans = [
        plan_alone(vlm, held_out, names, few, next(rngs)),
        plan_caption_nll(vlm, held_out, few, next(rngs)),
    ]
    return _run(vlm, plans, few, scenes, ignore_progress)


def _run(
    vlm: VLM, plans: Sequence[Plan], config: MeasureConfig, scenes: int, report: Report
) -> dict[str, Measure]:
    meter = Meter(report, stage="measure", scenes=scenes, tokens=sum(plan.tokens for plan in plans))
    measures: dict[str, Measure] = {}
    with eval_mode(vlm):
        for plan in plans:
            meter.begin(plan.what)
            answers = log_likelihoods(
                vlm,
                plan.questions,
                row_tokens=config.row_tokens,
                batch_tokens=config.batch_tokens,
                done=meter.advance,
            )
            measures.update({measure.key: measure for measure in plan.conclude(answers)})
    return measures


def _check(
    held_out: Sequence[ProjectedSample], training: Sequence[ProjectedSample], names: Sequence[str]
) -> None:
    if not held_out:
        raise DataError("nothing to measure on", expected="held-out samples", got=0)
    if not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise DataError("candidate names must be distinct and not empty", got=list(names))
    check_apart(
        [projected.sample for projected in held_out], [projected.sample for projected in training]
    )
