"""Whatever stands in a row, it is a rejection: no row stops a conversion."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diglot.config.parts import build_part
from diglot.data.convert import _make_samples
from diglot.data.format import Row
from tests.data.formats.foreign import FORMATS, save_image, settings_of

KEYS = ("id", "image", "image_id", "file_name", "size", "labels", "tag", "bbox", "rle_mask")
KEYS += ("conversations", "from", "value", "caption", "groundings", "rle_masks", "regions", "box")
KEYS += ("phrase", "span", "mask", "objects", "dense_caption", "details", "annotations", "counts")
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
WORDS = st.sampled_from(["a.jpg", "human", "gpt", "<image>", "../a.jpg", "1e999", "0 1"])
VALUES = st.recursive(
    PLAIN | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8)
    ),
    max_leaves=25,
)
OF_VALUES = ("llava_json", "pad_json", "grandf", "llava_next")
OF_LINES = ("cambrian_jsonl", "image_jsonl")
OF_FILES = ("sa1b", "grand")


def make(name: str, folder: Path) -> Any:
    (folder / "out").mkdir(exist_ok=True)
    given = settings_of(name, folder)
    given |= {"images": str(folder)} if "images" in given else {}
    return build_part(FORMATS, {"name": name, **given}, where="tests")


@pytest.mark.parametrize("name", [*OF_VALUES, *OF_LINES, *OF_FILES])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=VALUES)
def test_any_value_is_a_sample_or_a_rejection(name: str, value: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    text = json.dumps(value).encode()
    if name in OF_FILES:
        (tmp_path / "row.json").write_bytes(text)
        value = tmp_path / "row.json"
    row = Row("here", text if name in OF_LINES else value, number=1)
    for made in _make_samples(make(name, tmp_path), row, Counter()):
        assert made.id is not None


@pytest.mark.parametrize("name", [*OF_LINES, *OF_FILES])
@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"id": 1e999}'])
def test_any_bytes_are_a_rejection(name: str, text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_bytes(text)
    row = Row("here", path if name in OF_FILES else text, "row")
    [rejection] = _make_samples(make(name, tmp_path), row, Counter())
    assert rejection.reason


def test_a_missing_file_is_a_rejection(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    save_image(tmp_path / "out/images/1.jpg")
    row = Row("Sentences/1.txt", tmp_path / "gone.txt", "1")
    [rejection] = _make_samples(make("flickr30k_entities", tmp_path), row, Counter())
    assert rejection.reason == "file cannot be read"
