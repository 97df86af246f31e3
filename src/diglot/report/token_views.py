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
    Scale,
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
    ends: str  # its own lowest and highest weight


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
    shown_layer: int  # counted from 1; a run of fewer layers shows its last


def view_details(example: Example, view: SceneView, runs: tuple[str, ...]) -> DetailsView | None:
    """The figures of an example; None where no run has details."""
    if not example.details:
        return None
    by_run = {
        runs.index(run): (d, example.token_maps[run].boxes) for run, d in _order_details(example)
    }
    steps = tuple(_first_step(run, d, boxes) for run, (d, boxes) in by_run.items() if d.pursuit)
    most_layers = max((len(m.levels) for d, _ in by_run.values() for m in d.attention), default=0)
    shown_layer = math.ceil(most_layers / 2)
    return DetailsView(
        rule=next(iter(example.details.values())).rule,
        masks=_mask_rows(by_run, view),
        steps=steps,
        attention=_attention_rows(by_run, view, shown_layer),
        most_steps=max((s.steps for s in steps), default=0),
        most_layers=most_layers,
        shown_layer=shown_layer,
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


def _attention_rows(by_run: Detailed, view: SceneView, layer: int) -> tuple[AttentionRow, ...]:
    """A row an object, in the order of the first run that has maps."""
    counts = [len(details.attention) for details, _ in by_run.values()]
    found = [m for details, _ in by_run.values() for m in details.attention if m.levels]
    scale = find_attention_scale([(m, min(layer, len(m.levels)) - 1) for m in found])
    rows = []
    for index in range(max(counts, default=0)):
        maps = {
            run: (d.attention[index], boxes)
            for run, (d, boxes) in by_run.items()
            if index < len(d.attention)
        }
        name = next(iter(maps.values()))[0].name
        drawn = tuple(
            _layer_map(run, index, m, min(layer, len(m.levels)), boxes, scale)
            for run, (m, boxes) in maps.items()
        )
        rows.append(AttentionRow(name=name, entities=_find_entities(name, view), maps=drawn))
    return tuple(rows)


def find_attention_scale(shown: Sequence[tuple[AttentionMap, int]]) -> Scale | None:
    """The lowest and the highest weight of all maps, each at its layer; None where none is."""
    ends = [drawn.ends(layer) for drawn, layer in shown]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def _layer_map(
    run: int,
    index: int,
    drawn: AttentionMap,
    layer: int,
    boxes: Sequence[Box],
    scale: Scale | None,
) -> LayerMap:
    heat = draw_heat(drawn.values(layer - 1), boxes, scale) if layer else ()
    ends = _write_ends(drawn, layer - 1) if layer else ""
    return LayerMap(run=run, index=index, heat=heat, layer=layer, ends=ends)


def _write_ends(drawn: AttentionMap, layer: int) -> str:
    return " to ".join(format_value(end) for end in drawn.ends(layer))


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
            {
                "layers": [list(levels) for levels in m.levels],
                "ends": [m.ends(layer) for layer in range(len(m.levels))],
                "written": [_write_ends(m, layer) for layer in range(len(m.levels))],
            }
            for m in details.attention
        ],
    }
