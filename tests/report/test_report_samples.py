"""Samples as page JSON: thumbnails, masks, statistics."""

import base64
import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Lineage, Region, Sample
from diglot.report.dataset_page import render_dataset_page
from diglot.report.dataset_schema import read_dataset_page
from diglot.report.dataset_stats import DatasetStats, bin_counts
from diglot.report.samples import sample_json
from diglot.report.thumbnails import jpeg_uri, mask_uri


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def make_sample() -> Sample:
    mask = np.zeros((100, 200), dtype=bool)
    mask[20:60, 30:90] = True
    region = Region(
        phrase="a red ball",
        label="ball",
        span=(0, 10),
        box=(30.0, 20.0, 90.0, 60.0),
        mask=masks.encode_mask(mask),
        score=0.5,
    )
    bare = Region(phrase="sky", box=(0.0, 0.0, 200.0, 20.0))
    return Sample.captioned(
        id="s/1",
        image=b"",
        size_hw=(100, 200),
        caption="a red ball lies there",
        regions=(region, bare),
        lineage=(Lineage(step="scenes", revision="3"),),
    )


@pytest.mark.parametrize(("size", "small"), [((1280, 640), (640, 320)), ((100, 50), (100, 50))])
def test_thumbnails_keep_their_shape(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert decode(jpeg_uri(Image.new("RGB", size, "red"))).size == small
    assert decode(jpeg_uri(Image.new("RGBA", size, "red"))).mode == "RGB"


def test_a_mask_is_black_outside_faint_inside_and_white_along_its_edge() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:5, 2:7] = True
    grey = np.asarray(decode(mask_uri(mask)))
    assert (grey[~mask] == 0).all()
    assert (grey[2:4, 3:6] == 48).all()
    assert (grey[1, 2:7] == 255).all()
    assert (grey[1:5, 2] == 255).all()


def test_a_sample_becomes_a_page() -> None:
    shown = sample_json(make_sample(), Image.new("RGB", (200, 100)))
    stats = DatasetStats()
    stats.add(make_sample())
    page = read_dataset_page(
        {
            "title": "t",
            "created": "now",
            "note": "one",
            "facts": stats.facts(),
            "charts": stats.charts(),
            "rejected": [["too small", 3]],
            "unusable": [["s/2", "broken"]],
            "samples": [shown],
        }
    )
    html = render_dataset_page(page)
    assert [(made.step, made.revision) for made in page.samples[0].lineage] == [("scenes", "3")]
    for text in ("s/1", "a red ball", "too small", "broken", "not in the caption", "scenes 3"):
        assert text in html
    assert 'mask="url(#sample-0-mask-1)"' in html


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"s/1.*differ in size"):
        sample_json(make_sample(), Image.new("RGB", (100, 200)))


def test_statistics_of_mmcs_and_pad() -> None:
    stats = DatasetStats()
    stats.add(make_sample())
    assert stats.facts() == {
        "objects": "2",
        "objects a sample": "2.0",
        "characters a caption": "21",
        "entities a caption": "1.0",
        "unique tags": "2",
        "objects in their text": "1 (50%)",
        "objects with a mask": "1 (50%)",
    }
    charts = {chart["title"]: chart["bars"] for chart in stats.charts()}
    assert charts["Box area, share of the image"] == [["10% to 20%", 1], ["20% to 50%", 1]]
    assert charts["Score"][0] == ["0.5 to 0.6", 1]
    assert charts["Score"][-1] == ["0.9 to 1.0", 1]
    assert charts["Most frequent phrases"] == [["a red ball", 1], ["sky", 1]]
    assert DatasetStats().facts()["objects with a mask"] == "0"


@given(st.dictionaries(st.integers(0, 500), st.integers(1, 9), max_size=20))
def test_bins_lose_nothing(counts: dict[int, int]) -> None:
    bars = bin_counts(Counter(counts))
    assert sum(count for _, count in bars) == sum(counts.values())
    assert len(bars) <= 12
