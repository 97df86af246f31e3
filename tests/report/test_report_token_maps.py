"""Token maps: levels, peaks, words."""

import math
from typing import Any

from diglot.report.palette import HEAT_LEVELS
from diglot.report.scene_schema import NameMap, TokenMap
from diglot.report.scenes import SceneView, view_scene
from diglot.report.schema import read_report
from diglot.report.token_maps import find_scale, view_token_map

QUARTERS = ((0.0, 0.0, 2.0, 2.0), (2.0, 0.0, 4.0, 2.0), (0.0, 2.0, 2.0, 4.0), (2.0, 2.0, 4.0, 4.0))


def scene(data: dict[str, Any]) -> SceneView:
    return view_scene(read_report(data).examples[0].scene)


def one_map(*values: float | None, box: tuple[float, float, float, float]) -> TokenMap:
    named = NameMap(name="ball", box=box, values=values)
    return TokenMap(boxes=QUARTERS, words=("a", "Moon", " c", ""), maps=(named,))


def test_levels_run_from_the_lowest_to_the_highest(report_data: dict[str, Any]) -> None:
    tokens = one_map(0.0, 1.0, None, 0.46, box=(2.0, 0.0, 4.0, 2.0))
    (drawn,) = view_token_map(tokens, scene(report_data), 0).maps
    assert [heat.level for heat in drawn.heat] == [0, 5, HEAT_LEVELS - 1]
    assert drawn.heat[-1].path == "M2 0h2v2h-2z"
    assert (drawn.low, drawn.high, drawn.peak, drawn.hit) == ("0.00", "1.00", (3.0, 1.0), True)


def test_runs_side_by_side_share_one_scale(report_data: dict[str, Any]) -> None:
    faint, strong = (one_map(0.0, v, 0.0, 0.0, box=(2.0, 0.0, 4.0, 2.0)) for v in (0.1, 1.0))
    scale = find_scale([faint, strong])
    assert scale == (0.0, 1.0)
    levels = [
        [h.level for h in view_token_map(tokens, scene(report_data), 0, scale).maps[0].heat]
        for tokens in (faint, strong)
    ]
    assert levels == [[0, 1], [0, HEAT_LEVELS - 1]]
    assert find_scale([one_map(None, math.inf, None, None, box=(0.0, 0.0, 1.0, 1.0))]) is None


def test_a_peak_elsewhere_is_no_hit(report_data: dict[str, Any]) -> None:
    tokens = one_map(0.1, 0.5, 0.2, 0.3, box=(0.0, 0.0, 2.0, 2.0))
    assert not view_token_map(tokens, scene(report_data), 0).maps[0].hit


def test_flat_and_unmeasured_maps(report_data: dict[str, Any]) -> None:
    flat = one_map(0.2, 0.2, 0.2, 0.2, box=(0.0, 0.0, 2.0, 2.0))
    assert [h.level for h in view_token_map(flat, scene(report_data), 0).maps[0].heat] == [0]
    none = one_map(None, math.inf, None, None, box=(0.0, 0.0, 2.0, 2.0))
    drawn = view_token_map(none, scene(report_data), 0).maps[0]
    assert (drawn.heat, drawn.peak, drawn.low) == ((), None, "not measured")


def test_words_stand_in_their_tokens(report_data: dict[str, Any]) -> None:
    view = scene(report_data)
    labels = {b.region.label for b in view.boxes}
    words = view_token_map(one_map(0, 0, 0, 0, box=(0.0, 0.0, 1.0, 1.0)), view, 0).words
    assert [(w.text, w.x, w.y) for w in words][:2] == [("a", 1.0, 1.0), ("Moon", 3.0, 1.0)]
    assert words[1].named == ("moon" in labels)
    assert not words[0].named


def test_tokens_of_a_thumbnail_are_counted_not_written(report_data: dict[str, Any]) -> None:
    tokens = TokenMap(
        boxes=(*QUARTERS, (0.0, 0.0, 4.0, 4.0)), words=("a", "b", "c", "d", "all"), maps=()
    )
    view = view_token_map(tokens, scene(report_data), 0)
    assert [word.text for word in view.words] == ["a", "b", "c", "d"]
    assert view.coarse == 1


def test_maps_find_their_entity(report_data: dict[str, Any]) -> None:
    report = read_report(report_data)
    view = scene(report_data)
    drawn = view_token_map(report.examples[0].token_maps["caption"], view, 0)
    assert [m.entity.number for m in drawn.maps if m.entity] == [1, 2, 3, 4]
