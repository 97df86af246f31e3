"""Results of `diglot measure` side by side: any number of checkpoints on one page."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diglot.core.errors import ConfigError, DataError
from diglot.core.result import side_by_side
from diglot.core.seals import CHANGED, is_changed

MOST_BYTES = 512 * 2**20
BY_RUN = ("token_maps", "token_details")  # fields of an example


LAYERS = ("layers", "layers_unit")  # fields of a result that become curves


class MeasureFile(BaseModel):
    """One file of `diglot measure`; what its measures hold is checked where the page is made."""

    model_config = ConfigDict(extra="ignore")

    format: int = Field(ge=1, le=1)
    runs: list[str] = Field(min_length=1)
    data: str
    weights: str
    fingerprints: list[str]
    seed: int
    settings: dict[str, Any]
    created: str
    seconds: float
    environment: dict[str, Any]
    measures: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    curves: list[dict[str, Any]] = Field(default_factory=list)  # of the training run
    scatter: dict[str, Any] = Field(default_factory=dict)  # by run


def read_result(path: Path) -> MeasureFile:
    """The record in a file. Raises ConfigError or DataError where it is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError("too large for a result", expected="512 MB at most", where=str(path))
        record = json.loads(path.read_text("utf-8"))
        if is_changed(record):
            fix = "Make it again; if the change is meant, take the field `digest` out."
            raise DataError(CHANGED, where=str(path), fix=fix)
        return MeasureFile.model_validate(record)
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = f"field {field!r}: {first['msg']}" if field else "no JSON object"
        if first["type"] == "missing":
            reason = f"it has no field {field!r}"
        raise DataError(f"not a result of `diglot measure`: {reason}", where=str(path)) from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"not JSON: {error}", where=str(path)) from error


def join_results(records: Sequence[MeasureFile], *, title: str, command: str) -> dict[str, Any]:
    """Several records as the data of one page (`schema.Report`).

    A run of one label in several records is one run with the measures of all: the same checkpoint
    by our own harness and by lmms-eval. Raises DataError where both measured the same.
    """
    _check_labels(records)
    runs = list(dict.fromkeys(run for record in records for run in record.runs))
    by_key = [{str(entry.get("key")): entry for entry in record.measures} for record in records]
    measures = side_by_side(by_key)
    return {
        "title": title,
        "created": max(record.created for record in records),
        "summary": _summarise_records(records),
        "runs": runs,
        "settings": {"command": command, **_collect_settings(records)},
        "environment": _collect_environment(records[0].environment),
        "measures": [_without_layers(entry) for entry in measures.values()],
        "curves": [
            *(curve for entry in measures.values() for curve in _collect_curves(entry)),
            *_training_curves(records),
        ],
        "scatter": {run: plane for r in records for run, plane in r.scatter.items()},
        "timings": [{"stage": _stage_name(r), "seconds": r.seconds, "note": ""} for r in records],
        "examples": _collect_examples(records),
        "curves_title": _curves_title(records),
        "source": "the results named above",
    }


def _check_labels(records: Sequence[MeasureFile]) -> None:
    """Raises DataError where a label has a measure, or a training's curves, in two records."""
    taken: set[tuple[str, str]] = set()
    for record in records:
        for run in record.runs:
            own = {str(e.get("key")) for e in record.measures if run in e.get("results", {})}
            own |= {f"curve {curve.get('title')}" for curve in record.curves}
            found = {(run, key) for key in own or {""}}
            if found & taken:
                raise DataError(
                    f"two runs are called {run!r}", fix="Measure one of them with another --label."
                )
            taken |= found


def _curves_title(records: Sequence[MeasureFile]) -> str:
    if not any(record.curves for record in records):
        return "By layer"
    return "By layer, and while training" if any(r.measures for r in records) else "While training"


def _stage_name(record: MeasureFile) -> str:
    return f"{'measure' if record.measures else 'train'} {', '.join(record.runs)}"


def _summarise_records(records: Sequence[MeasureFile]) -> str:
    """What is compared, and what makes the figures hard to compare."""
    count = len({run for r in records for run in r.runs})
    measured = [r for r in records if r.measures]
    if not measured:
        runs = "training run: its" if count == 1 else "training runs: their"
        return f"{count} {runs} losses and probes by step."
    where = " and ".join(dict.fromkeys(record.data for record in measured))
    parts = [f"{count} checkpoints, measured on {where}."]
    beside = _find_side_by_side(measured)
    if any(r.fingerprints != beside[0].fingerprints for r in beside):
        named = ", ".join(f"{r.runs[0]}: {r.data}" for r in beside)
        parts.append(f"They were measured on different data ({named}): compare with care.")
    if any(r.settings != beside[0].settings or r.seed != beside[0].seed for r in beside):
        parts.append("Their measures had different settings or seeds: see the results' files.")
    return " ".join(parts)


def _find_side_by_side(records: Sequence[MeasureFile]) -> list[MeasureFile]:
    """Those with a measure that another of them has too: figures of the others meet none."""
    keys = [{str(entry.get("key")) for entry in record.measures} for record in records]
    shared = Counter(key for own in keys for key in own)
    return [r for r, own in zip(records, keys, strict=True) if any(shared[k] > 1 for k in own)]


def _collect_settings(records: Sequence[MeasureFile]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for record in (r for r in records if r.weights):
        name, weights = f"weights of {record.runs[0]}", record.weights[:16]
        other = settings.get(name, weights) != weights  # one label, in two forms of a checkpoint
        settings[f"{name}, {record.data}" if other else name] = weights
    first = records[0].settings.get("measures", {})
    options = {
        f"options of {name}": json.dumps(chosen, ensure_ascii=False)
        for name, chosen in (first.items() if isinstance(first, Mapping) else ())
    }
    return {**settings, "seed": str(records[0].seed), **options}


def _collect_environment(fields: Mapping[str, Any]) -> dict[str, str]:
    plain = {k: v for k, v in fields.items() if v is not None and not isinstance(v, Mapping)}
    packages = fields.get("packages")
    listed = packages.items() if isinstance(packages, Mapping) else ()
    return {
        **{name: str(value) for name, value in plain.items()},
        **{name: str(version) for name, version in listed},
    }


def _without_layers(entry: Mapping[str, Any]) -> dict[str, Any]:
    results = {
        run: {key: value for key, value in result.items() if key not in LAYERS}
        for run, result in entry["results"].items()
    }
    return {**entry, "results": results}


def _collect_curves(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A figure by layer for every series that a run of the measure has; layer 0 is the input.

    It begins at the first layer that any run has a value of: attention has none of the input.
    """
    titles = dict.fromkeys(
        title for result in entry["results"].values() for title in result.get("layers", {})
    )
    return [
        {
            "title": title,
            "x_label": "layer of the language model",
            "y_label": _layers_unit(entry),
            "series": _layer_series(entry["results"], title),
        }
        for title in titles
    ]


def _layers_unit(entry: Mapping[str, Any]) -> str:
    found = (result.get("layers_unit") for result in entry["results"].values())
    return next(filter(None, found), entry["unit"])


def _layer_series(results: Mapping[str, Any], title: str) -> dict[str, list[list[Any]]]:
    """[layer, value] of every run that has the series."""
    values = {run: r["layers"][title] for run, r in results.items() if title in r.get("layers", {})}
    known = (i for layers in values.values() for i, v in enumerate(layers) if v is not None)
    first = min(known, default=0)
    return {run: [[i, v] for i, v in enumerate(vs)][first:] for run, vs in values.items()}


def _training_curves(records: Sequence[MeasureFile]) -> list[dict[str, Any]]:
    """The curves of the training runs, those of one title in one figure."""
    joined: dict[str, dict[str, Any]] = {}
    for record in records:
        for curve in record.curves:
            figure = joined.setdefault(str(curve.get("title")), {**curve, "series": {}})
            figure["series"] = figure["series"] | curve.get("series", {})
    return list(joined.values())


def _collect_examples(records: Sequence[MeasureFile]) -> list[dict[str, Any]]:
    """Every sample once, with the maps and details of all records that show it."""
    joined: dict[str, dict[str, Any]] = {}
    for record in records:
        for example in record.examples:
            blank = {name: {} for name in BY_RUN if name in example}
            entry = joined.setdefault(str(example.get("id")), {**example, **blank})
            for name in blank:
                entry[name] = entry.get(name, {}) | example[name]
    return list(joined.values())
