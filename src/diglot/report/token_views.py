"""The details of visual tokens ready to draw: masks, words by step, attention by layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diglot.report.axes import format_value
from diglot.report.fields import Box
from diglot.report.plain_text import escape_unshown
from diglot.report.scene_schema import Example
from diglot.report.scenes import BoxView, SceneView
from diglot.report.token_maps import (
    Heat,
    WordLabel,
    draw_heat,
    find_fine_tokens,
    label_token,
    outline_box,
)
from diglot.report.token_schema import AttentionMap, PredictedMask, PursuitStep, TokenDetails

SMALLEST_FONT = 0.4  # of the least similar token, as a share of the most similar one's


@dataclass(frozen=True, kw_only=True)
class ChosenCells:
    """One run's predicted mask of a name, as one path."""

    run: int
    path: str
    iou: str


@dataclass(frozen=True, kw_only=True)
class MaskRow:
    """A name, its regions, and every run's predicted mask."""

    name: str
    entities: tuple[BoxView, ...]
    predicted: tuple[ChosenCells, ...]


@dataclass(frozen=True, kw_only=True)
class StepMap:
    """One run's sub-tokens after one step of matching pursuit."""

    run: int
    labels: tuple[WordLabel, ...]
    steps: int
    lexicon: str


@dataclass(frozen=True, kw_only=True)
class LayerMap:
    """One run's attention from a name at one layer."""

    run: int
    index: int  # among the run's maps
    heat: tuple[Heat, ...]
    layer: int  # counted from 1
    layers: int


@dataclass(frozen=True, kw_only=True)
class AttentionRow:
    """A name, its first region, and every run's attention."""

    name: str
    entities: tuple[BoxView, ...]
    maps: tuple[LayerMap, ...]


@dataclass(frozen=True, kw_only=True)
class DetailsView:
    """All figures of one example's details."""

    rule: str
    masks: tuple[MaskRow, ...]
    steps: tuple[StepMap, ...]
    attention: tuple[AttentionRow, ...]
    most_steps: int
    most_layers: int


def view_details(example: Example, view: SceneView, runs: tuple[str, ...]) -> DetailsView | None:
    """The figures of an example; None where no run has details."""
    if not example.details:
        return None
    by_run = {
        runs.index(run): (d, example.token_maps[run].boxes) for run, d in _order_details(example)
    }
    steps = tuple(_first_step(run, d, boxes) for run, (d, boxes) in by_run.items() if d.pursuit)
    attention = _attention_rows(by_run, view)
    layers = [drawn.layers for row in attention for drawn in row.maps]
    return DetailsView(
        rule=next(iter(example.details.values())).rule,
        masks=_mask_rows(by_run, view),
        steps=steps,
        attention=attention,
        most_steps=max((s.steps for s in steps), default=0),
        most_layers=max(layers, default=0),
    )


Detailed = Mapping[int, tuple[TokenDetails, Sequence[Box]]]


def _order_details(example: Example) -> list[tuple[str, TokenDetails]]:
    return [(run, example.details[run]) for run in example.token_maps if run in example.details]


def _find_entities(name: str, view: SceneView) -> tuple[BoxView, ...]:
    return tuple(box for box in view.boxes if name == box.region.label)


def _mask_rows(by_run: Detailed, view: SceneView) -> tuple[MaskRow, ...]:
    names = dict.fromkeys(mask.name for details, _ in by_run.values() for mask in details.masks)
    return tuple(
        MaskRow(
            name=name,
            entities=_find_entities(name, view),
            predicted=tuple(
                _chosen_cells(run, mask, boxes)
                for run, (details, boxes) in by_run.items()
                for mask in details.masks
                if mask.name == name
            ),
        )
        for name in names
    )


def _chosen_cells(run: int, mask: PredictedMask, boxes: Sequence[Box]) -> ChosenCells:
    path = "".join(outline_box(boxes[index]) for index in mask.chosen)
    return ChosenCells(run=run, path=path, iou=format_value(mask.iou))


def _first_step(run: int, details: TokenDetails, boxes: Sequence[Box]) -> StepMap:
    return StepMap(
        run=run,
        labels=step_labels(details.pursuit[0], boxes),
        steps=len(details.pursuit),
        lexicon=details.lexicon,
    )


def step_labels(step: PursuitStep, boxes: Sequence[Box]) -> tuple[WordLabel, ...]:
    """The sub-token of every fine token, as large as its part, marked where it is a word."""
    fine = find_fine_tokens(boxes)
    size = font_shares([step.parts[index] for index in fine])
    return tuple(
        label_token(step.texts[i], boxes[i], named=step.are_words[i], size=size[k], index=i)
        for k, i in enumerate(fine)
    )


def font_shares(parts: Sequence[float]) -> list[float]:
    """From SMALLEST_FONT for the lowest part to 1 for the highest; 1 for equal ones."""
    low, high = min(parts, default=0.0), max(parts, default=0.0)
    if not high > low:
        return [1.0] * len(parts)
    return [SMALLEST_FONT + (1 - SMALLEST_FONT) * (part - low) / (high - low) for part in parts]


def _attention_rows(by_run: Detailed, view: SceneView) -> tuple[AttentionRow, ...]:
    """A row an object, in the order of the first run that has maps."""
    counts = [len(details.attention) for details, _ in by_run.values()]
    rows = []
    for index in range(max(counts, default=0)):
        maps = {
            run: (d.attention[index], boxes)
            for run, (d, boxes) in by_run.items()
            if index < len(d.attention)
        }
        name = next(iter(maps.values()))[0].name
        drawn = tuple(_layer_map(run, index, m, boxes) for run, (m, boxes) in maps.items())
        rows.append(AttentionRow(name=name, entities=_find_entities(name, view), maps=drawn))
    return tuple(rows)


def _layer_map(run: int, index: int, drawn: AttentionMap, boxes: Sequence[Box]) -> LayerMap:
    layers = len(drawn.levels)
    layer = math.ceil(layers / 2)
    levels = [float(level) for level in drawn.levels[layer - 1]] if layers else []
    heat = draw_heat(levels, boxes, (0.0, 255.0))
    return LayerMap(run=run, index=index, heat=heat, layer=layer, layers=layers)


def script_data(examples: Sequence[Example], runs: tuple[str, ...]) -> dict[str, Any]:
    """What the page's script reads: runs, and of every example what each run's tokens hold."""
    return {
        "runs": list(runs),
        "smallest": SMALLEST_FONT,
        "examples": [
            {
                str(runs.index(run)): _plain_details(details, example.token_maps[run].boxes)
                for run, details in _order_details(example)
            }
            for example in examples
        ],
    }


def _plain_details(details: TokenDetails, boxes: Sequence[Box]) -> dict[str, Any]:
    near = {"subtokens": details.subtokens, "words": details.words}
    plain = {
        name: [[[escape_unshown(n.text), n.cosine] for n in of_token] for of_token in lists]
        for name, lists in near.items()
    }
    return {
        "boxes": [[round(v, 1) for v in box] for box in boxes],
        **plain,
        "pursuit": [
            {
                "texts": [escape_unshown(text) for text in s.texts],
                "words": s.are_words,
                "parts": s.parts,
                "left": s.left,
            }
            for s in details.pursuit
        ],
        "attention": [
            {"layers": [list(levels) for levels in m.levels], "highest": m.highest}
            for m in details.attention
        ],
    }
