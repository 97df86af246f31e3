"""Samples of a dataset as one self-contained HTML page."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.report.box_text import fit_word
from diglot.report.captions import CaptionPiece, cut_caption
from diglot.report.dataset_schema import (
    DatasetPage,
    SampleView,
    ShownPatchWords,
    TurnText,
    read_dataset_page,
)
from diglot.report.render import render_page, write_page
from diglot.report.scenes import BoxView, Rect, SceneView, to_rect, view_scene

_FILTERS = 16


@dataclass(frozen=True, kw_only=True)
class TurnView:
    """A turn cut where entities begin and end."""

    turn: TurnText
    pieces: tuple[CaptionPiece, ...]


@dataclass(frozen=True, kw_only=True)
class PatchView:
    """The best word of a patch in lines, and all of them for the pointer."""

    rect: Rect
    font_px: float
    lines: tuple[str, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class SamplePage:
    """Everything the template needs of a sample."""

    sample: SampleView
    views: tuple[SceneView, ...]
    boxes: tuple[BoxView, ...]  # of all pictures
    turns: tuple[TurnView, ...]
    patches: tuple[PatchView, ...]
    filters: tuple[int, ...]  # the phrases of the filter that it has


def write_dataset_page(data: Mapping[str, Any], out: Path) -> Path:
    """Write the page of `data` (`dataset_schema.DatasetPage`) to `out`; equal data, equal bytes.

    The page asks nothing of the network, runs no script, and is written whole or not at all.
    Raises DataError naming the field that cannot be used, ConfigError where `out` cannot be
    written.
    """
    return write_page(render_dataset_page(read_dataset_page(data)), out)


def render_dataset_page(page: DatasetPage) -> str:
    """The HTML of a page of samples with their regions, and labels or pairs where it has them."""
    filters = _common_names(page)
    samples = [_view_sample(sample, filters) for sample in page.samples]
    wide = len(samples) < 3 or any(s.patches or s.sample.paired for s in samples)
    return render_page(
        "dataset.html.j2", {"page": page, "samples": samples, "filters": filters, "wide": wide}
    )


def _list_names(sample: SampleView) -> set[str]:
    if sample.paired:
        return {sample.lineage[0].step} if sample.lineage else set()
    return {region.label.lower() for scene in sample.scenes for region in scene.regions}


def _common_names(page: DatasetPage) -> list[tuple[str, int]]:
    """The names that most of the shown samples have, with how many have them."""
    counts = Counter(name for sample in page.samples for name in sorted(_list_names(sample)))
    return counts.most_common(_FILTERS) if len(page.samples) > 1 else []


def _view_sample(sample: SampleView, filters: list[tuple[str, int]]) -> SamplePage:
    views: list[SceneView] = []
    for scene in sample.scenes:
        first = 0 if sample.paired else sum(len(view.boxes) for view in views)
        views.append(view_scene(scene, first=first))
    names = _list_names(sample)
    return SamplePage(
        sample=sample,
        views=tuple(views),
        boxes=() if sample.paired else tuple(box for view in views for box in view.boxes),
        turns=tuple(_view_turn(turn) for turn in sample.turns),
        patches=_view_patches(sample.labels) if sample.labels else (),
        filters=tuple(n for n, (name, _) in enumerate(filters) if name in names),
    )


def _view_turn(turn: TurnText) -> TurnView:
    regions = max((region for region, _, _ in turn.spans), default=-1) + 1
    spans: list[tuple[int, int] | None] = [None] * regions
    for region, start, end in turn.spans:
        spans[region] = (start, end)
    return TurnView(turn=turn, pieces=cut_caption(turn.text, spans))


def _view_patches(labels: ShownPatchWords) -> tuple[PatchView, ...]:
    """The patches that have a word; a thumbnail's, which lie over the others, are left out."""
    views = []
    smallest = min((box[2] - box[0] for box in labels.boxes), default=0)
    for box, words, scores in zip(labels.boxes, labels.words, labels.scores, strict=True):
        if words and box[2] - box[0] < 1.5 * smallest:
            listed = [f"{w} {s:.2f}" for w, s in zip(words, scores, strict=True) if s is not None]
            views.append(_view_patch(to_rect(box), words[0], "\n".join(listed)))
    return tuple(views)


def _view_patch(rect: Rect, best: str, listed: str) -> PatchView:
    lines, font_px = fit_word(best, rect.width, rect.height)
    return PatchView(rect=rect, font_px=font_px, lines=lines, words=listed)
