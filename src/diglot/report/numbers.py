"""All numbers of a report as JSON and CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diglot.files import csv_cell, replace_text
from diglot.report.schema import Report, Score
from diglot.report.token_schema import TokenDetails

MEASURES = ("key", "title", "unit", "run", "group", "value", "low", "high", "n", "chance")
CURVES = ("title", "x_label", "y_label", "run", "x", "y")
MASKS = ("example", "run", "name", "rule", "iou", "tokens")
COSINES = ("example", "run", "name", "token", "cosine")
PLANES = ("run", "method", "kind", "x", "y")
TOKENS = (
    *("example", "run", "token", "x0", "y0", "x1", "y1"),
    *("word", "word_cosine", "subtoken", "subtoken_cosine", "pursuit", "left"),
)
ATTENTION = ("example", "run", "name", "layer", "token", "weight")


def write_numbers(report: Report, data: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write report.json, which makes the page again, and a CSV a kind of number."""
    tables = {
        "measures": (MEASURES, _measure_rows(report)),
        "curves": (CURVES, _curve_rows(report)),
        "planes": (PLANES, _plane_rows(report)),
        "cosines": (COSINES, _cosine_rows(report)),
        "masks": (MASKS, _mask_rows(report)),
        "tokens": (TOKENS, _token_rows(report)),
        "attention": (ATTENTION, _attention_rows(report)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "report.json"]
    replace_text(written[0], json.dumps(data, ensure_ascii=False) + "\n")
    for name, (header, rows) in tables.items():
        text = _csv_text(header, rows)
        if text.count("\n") > 1:  # something but the header
            written.append(folder / f"{name}.csv")
            replace_text(written[-1], text)
    return written


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_plain_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _plain_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs; empty for None."""
    return "" if value is None else csv_cell(value)


def _measure_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for measure in report.measures:
        head = (measure.key, measure.title, measure.unit)
        for run, result in measure.results.items():
            yield (*head, run, "", *_score_cells(result.score), measure.chance)
            for group, score in result.groups.items():
                yield (*head, run, group, *_score_cells(score), measure.chance)


def _score_cells(score: Score) -> tuple[Any, ...]:
    return score.value, score.low, score.high, score.n


def _curve_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for curve in report.curves:
        for run, points in curve.series.items():
            for x, y in points:
                yield curve.title, curve.x_label, curve.y_label, run, x, y


def _plane_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for run, plane in report.planes.items():
        for kind, points in (("visual token", plane.visual), ("word", plane.words)):
            for x, y in points:
                yield run, plane.method, kind, x, y


def _cosine_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for example in report.examples:
        for run, tokens in example.token_maps.items():
            for named in tokens.maps:
                for token, cosine in enumerate(named.values):
                    yield example.scene.id, run, named.name, token, cosine


def _iterate_details(report: Report) -> Iterator[tuple[str, str, TokenDetails]]:
    for example in report.examples:
        for run, details in example.details.items():
            yield example.scene.id, run, details


def _mask_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for scene, run, details in _iterate_details(report):
        for mask in details.masks:
            yield scene, run, mask.name, details.rule, mask.iou, " ".join(map(str, mask.chosen))


def _token_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    boxes = {
        (example.scene.id, run): tokens.boxes
        for example in report.examples
        for run, tokens in example.token_maps.items()
    }
    for scene, run, details in _iterate_details(report):
        for index, box in enumerate(boxes[scene, run]):
            yield (
                scene,
                run,
                index,
                *box,
                *_nearest_texts(details, index),
                *_pursued_texts(details, index),
            )


def _nearest_texts(details: TokenDetails, index: int) -> tuple[Any, ...]:
    """The nearest word and sub-token with their cosines."""
    lists = (details.words[index], details.subtokens[index])
    return tuple(
        value
        for near in lists
        for value in ((near[0].text, near[0].cosine) if near else (None, None))
    )


def _pursued_texts(details: TokenDetails, index: int) -> tuple[Any, ...]:
    texts = " + ".join(step.texts[index].strip() for step in details.pursuit)
    return texts, details.pursuit[-1].left[index] if details.pursuit else None


def _attention_rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for scene, run, details in _iterate_details(report):
        for one in details.attention:
            for layer in range(len(one.levels)):
                for token, weight in enumerate(one.values(layer)):
                    yield scene, run, one.name, layer + 1, token, f"{weight:.4g}"
