"""The picture of scores against sizes: what is drawn are the means and the spread of the table."""

import numpy as np

from diglot.studies.compare.figure import sizes_figure, write_sizes_figure
from tests.studies.compare.made_up import made_up


def test_lines_are_the_means_and_bands_the_spread():
    results = made_up()
    figure = sizes_figure(results)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        head["title"] for head in results["measures"].values()
    ]
    lines_of = {(t["measure"], t["row"]): [] for t in results["table"]}
    for line in results["table"]:
        lines_of[line["measure"], line["row"]].append(line)
    for axes, key in zip(panels, results["measures"], strict=True):
        drawn = [line for line in axes.lines if len(line.get_xdata()) == len(results["samples"])]
        assert len(drawn) == len(axes.collections) == len(results["rows"])
        for line, band, row in zip(drawn, axes.collections, results["rows"], strict=True):
            assert list(line.get_ydata()) == [t["mean"] for t in lines_of[key, row]]
            corners = band.get_paths()[0].vertices[:, 1]
            assert np.isclose(corners.min(), min(t["min"] for t in lines_of[key, row]))
            assert np.isclose(corners.max(), max(t["max"] for t in lines_of[key, row]))


def test_labels_are_shown_as_they_stand():
    results = made_up(rows=2)
    for line in results["table"]:
        line["row"] = {"caption": "_a $x$"}.get(line["row"], line["row"])
    results["rows"] = {"_a $x$": {}, "patch_aligned": {}}
    labels = [text.get_text() for text in sizes_figure(results).legends[0].get_texts()]
    assert labels == [r" _a \$x\$", "patch_aligned"]


def test_one_size_draws_nothing(tmp_path):
    write_sizes_figure(made_up(sizes=(64,)), tmp_path / "one.png")
    write_sizes_figure(made_up(), tmp_path / "many.png")
    assert [path.name for path in tmp_path.iterdir()] == ["many.png"]
    assert (tmp_path / "many.png").read_bytes().startswith(b"\x89PNG")
