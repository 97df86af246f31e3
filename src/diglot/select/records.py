"""What `diglot select` writes as JSON beside its main results: plain data, null where undefined."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from diglot.select.choose import Choice
from diglot.select.law import LawFit
from diglot.select.paper_data import PaperLaw
from diglot.select.paper_range import Variant
from diglot.select.plan import SelectionPlan
from diglot.select.study import GroupFit, RecallCurve


def fits_record(fits: Mapping[str, LawFit], random: float) -> dict[str, Any]:
    """Fits by name (fractions), and the expected R2 of random scores."""
    return {
        "fits": {
            name: {
                "columns": list(fit.columns),
                "degree": fit.degree,
                "points": fit.points,
                "parameters": fit.parameters,
                "r2": fit.r2,
                "loo_r2": fit.loo_r2,
                "coefficients": [asdict(row) for row in fit.coefficients],
                "warnings": list(fit.warnings),
            }
            for name, fit in fits.items()
        },
        "random_r2": random,
    }


def plan_record(plan: SelectionPlan) -> dict[str, Any]:
    """The plan; expected results are null where fewer than two results are known."""
    scaled = np.sum(~np.isnan(plan.results_K)) >= 2
    ranking = plan.ranking
    parts = {
        "expected": ranking.mean_PK if scaled else None,
        "low": ranking.low_PK if scaled else None,
        "high": ranking.high_PK if scaled else None,
        "p_best": ranking.best_PK,
        "p_top3": ranking.top3_PK,
    }
    rows = []
    for k in plan.order:
        result = plan.results_K[k]
        row = {"setting": plan.settings[k], "result": None if np.isnan(result) else float(result)}
        rows.append(row | {n: None if v is None else float(v[0, k]) for n, v in parts.items()})
    return {
        "next": None if plan.next is None else plan.settings[plan.next],
        "stop": plan.next is None,
        "reason": plan.reason,
        "top3_change": plan.change,
        "ranking": rows,
        "warnings": list(plan.warnings),
    }


def study_record(
    law: PaperLaw,
    fits: Mapping[str, Mapping[str, GroupFit]],
    curves: Mapping[str, Mapping[str, RecallCurve]],
    found: Sequence[Variant],
    fresh: Mapping[str, Any],
    choices: Mapping[str, Choice],
) -> dict[str, Any]:
    """Everything behind the study's tables. `curves` by trial ("all", "pools"), then policy."""
    return {
        "fits": {
            name: {group: asdict(fit) for group, fit in row.items()} for name, row in fits.items()
        },
        "recall": {
            trial: {name: _record_curve(law, curve) for name, curve in by_policy.items()}
            for trial, by_policy in curves.items()
        },
        "range": [
            {**asdict(v.choices), "count": v.count, "at3": _by_name(law, v.at3_B)} for v in found
        ],
        "new_settings": fresh,
        "choices": {name: choice.as_dict() for name, choice in choices.items()},
    }


def _record_curve(law: PaperLaw, curve: RecallCurve) -> dict[str, Any]:
    return {
        "at3": _by_name(law, curve.at3_BN),
        "at1": _by_name(law, curve.at1_BN),
        "at3_spread": curve.at3_spread_N.tolist(),
        "at1_spread": curve.at1_spread_N.tolist(),
    }


def _by_name(law: PaperLaw, values: Any) -> dict[str, Any]:
    return {name: np.asarray(v).tolist() for name, v in zip(law.benchmarks, values, strict=True)}
