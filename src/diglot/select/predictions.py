"""Do A and C predict what encoders reach after equal training? From scores and results to fits.

"Law of Vision Representation in MLLMs", sections 3.3 and 5.4, with what the paper does not give:
leave-one-out R2, and ranks.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from diglot.core.errors import DiglotError
from diglot.files import csv_cell
from diglot.select.law import fit_law, random_r2
from diglot.select.table import Floats, ScoreTable

FITS: dict[str, tuple[tuple[str, ...], int]] = {
    "A linear": (("A",), 1),
    "C linear": (("C",), 1),
    "AC linear": (("A", "C"), 1),
    "A quadratic": (("A",), 2),
    "C quadratic": (("C",), 2),
    "AC quadratic": (("A", "C"), 2),
}
Score = Mapping[str, Any]  # value, and what belongs to it


def study_rows(
    labels: Sequence[str],
    a_scores: Mapping[str, Sequence[Score]],
    c_scores: Mapping[str, Score],
    results: Mapping[str, Mapping[str, Score]],
) -> list[dict[str, Any]]:
    """One row a setting: the mean over seeds of A, then C, then every result; None = not there.

    `a_scores` has one score a seed; `results` are column -> setting -> {mean, min, max, seeds}.
    """
    return [
        _study_row(label, a_scores.get(label, ()), c_scores.get(label), results) for label in labels
    ]


def _study_row(
    label: str, a: Sequence[Score], c: Score | None, results: Mapping[str, Mapping[str, Score]]
) -> dict[str, Any]:
    found = {column: scores.get(label) for column, scores in results.items()}
    return {
        "setting": label,
        "A": mean(score["value"] for score in a) if a else None,
        "C": c and c["value"],
        **{column: score and score["mean"] for column, score in found.items()},
        "details": {"A": [dict(score) for score in a], "C": c and dict(c), **found},
    }


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table that `diglot select fit` and `plan` read; empty cells are not there yet."""
    columns = [name for name in rows[0] if name != "details"]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writerow({name: csv_cell(name) for name in columns})
    writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def fit_predictions(table: ScoreTable, higher_is_better: Mapping[str, bool]) -> dict[str, Any]:
    """For each of these result columns: what A and C, alone and together, say of it.

    `spearman` counts a result that is better as higher; `place_of_best` is where the best setting
    stands in the order by one score (1 = first); `fits` have R2 and leave-one-out R2. Settings
    without A, C or the result are left out. None = undefined.
    """
    return {
        column: _predict_column(table, column, 1.0 if higher else -1.0)
        for column, higher in higher_is_better.items()
    }


def _predict_column(table: ScoreTable, column: str, sign: float) -> dict[str, Any]:
    columns = {name: table.column(name) for name in ("A", "C", column)}
    whole_K = ~np.isnan(np.stack(list(columns.values()))).any(axis=0)
    a_K, c_K, result_K = (values[whole_K] for values in columns.values())
    scores = {"A": a_K, "C": c_K}
    return {
        "settings": int(whole_K.sum()),
        "spearman": {
            name: _rank_correlation(values, sign * result_K) for name, values in scores.items()
        },
        "place_of_best": {
            name: _place_of_best(values, sign * result_K) for name, values in scores.items()
        },
        "fits": {name: _fit_columns(scores, *terms, result_K) for name, terms in FITS.items()},
    }


def _rank_correlation(score_K: Floats, result_K: Floats) -> float | None:
    if len(score_K) < 3 or np.ptp(score_K) == 0 or np.ptp(result_K) == 0:
        return None
    correlation: Any = spearmanr(score_K, result_K)
    return float(correlation.statistic)


def _place_of_best(score_K: Floats, result_K: Floats) -> int | None:
    """Of several best ones, the first; settings of one score share the last of their places."""
    if not len(score_K):
        return None
    return int((score_K >= score_K[result_K == result_K.max()].max()).sum())


def _fit_columns(
    scores: Mapping[str, Floats], columns: tuple[str, ...], degree: int, result_K: Floats
) -> dict[str, Any]:
    try:
        scores_KF = np.stack([scores[name] for name in columns], axis=1)
        fit = fit_law(columns, scores_KF, result_K, degree=degree)
    except DiglotError as error:  # too few settings, or all alike
        return {"r2": None, "loo_r2": None, "random_r2": None, "warnings": [str(error)]}
    return {
        "r2": fit.r2,
        "loo_r2": fit.loo_r2,
        "random_r2": random_r2(fit.points, fit.parameters),
        "warnings": list(fit.warnings),
    }
