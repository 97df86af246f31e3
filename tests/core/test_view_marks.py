"""Marks around and between the views of an image."""

import pytest

from diglot.core.errors import ConfigError
from diglot.core.layout import encode, expand_lines
from diglot.core.preprocess import Preprocess
from diglot.core.segments import Image, Tokens
from diglot.core.view_marks import ViewMarks
from diglot.models.marks import check_marks
from tests.tiny import EOS, tiny_sample, tiny_tokenizer, tiny_vlm

IDEFICS = ViewMarks(
    image="[global]",
    tile="[{row}, {column}]",
    row_end="\n",
    thumbnail="\n[global]",
    end="[end]",
)


def tiles(marks: ViewMarks | None, **settings) -> Preprocess:
    return Preprocess(mode="tiles", image_px=32, marks=marks, **settings)


def texts(marks: ViewMarks, size_hw: tuple[int, int], **settings) -> tuple[str, ...]:
    return marks.texts(tiles(marks, **settings).token_grid(size_hw, patch_px=8).views)


def test_rows_columns_and_numbers() -> None:
    assert texts(IDEFICS, (32, 32), max_tiles=1) == ("[global]", "[end]")
    two_rows = texts(IDEFICS, (64, 64))
    assert two_rows == ("[1, 1]", "[1, 2]", "\n[2, 1]", "[2, 2]", "\n\n[global]", "[end]")
    numbered = ViewMarks(start="<", tile="TILE_{number}", image="ALL", thumbnail="ALL", end=">")
    assert texts(numbered, (32, 96)) == ("<TILE_1", "TILE_2", "TILE_3", "ALL", ">")
    assert texts(ViewMarks(view_end="/", end=">"), (32, 64)) == ("", "/", "/", "/>")


def test_the_language_model_reads_them_where_they_stand() -> None:
    marks = ViewMarks(start=EOS, tile="t", thumbnail="all", end=EOS)
    vlm = tiny_vlm(preprocess=tiles(marks))
    grid = vlm.token_grid((32, 64))
    sequence = expand_lines((Tokens((0,)), Image(), Tokens((5,))), [grid])
    encoded = encode(sequence, visual_counts=[len(grid)], terms=())
    spelled = [
        int(t) if v < 0 else f"v{v}" for t, v in zip(encoded.token_T, encoded.visual_T, strict=True)
    ]
    t, whole = (vlm.language.tokenizer(text)["input_ids"] for text in ("t", "all"))
    tokens = [f"v{i}" for i in range(48)]
    assert spelled == [0, 1, *t, *tokens[:16], *t, *tokens[16:32], *whole, *tokens[32:], 1, 5]


def test_views_and_their_keys_do_not_depend_on_them() -> None:
    marks = ViewMarks(start=EOS, image=EOS)
    assert tiles(marks).view_settings() == tiles(None).view_settings()
    sample = tiny_sample(0)
    with_marks, without = tiny_vlm(preprocess=tiles(marks)), tiny_vlm(preprocess=tiles(None))
    assert len(with_marks.token_grid((64, 64))) == len(without.token_grid((64, 64)))
    assert with_marks.processor.sample_views(sample)[0].equal(
        without.processor.sample_views(sample)[0]
    )


@pytest.mark.parametrize(
    ("marks", "named"),
    [
        (ViewMarks(start="a"), r"marks\.start"),
        (ViewMarks(tile="TILE_{number}"), r"marks\.start"),
        (ViewMarks(end="b"), r"marks\.end"),
        (ViewMarks(view_end="b"), r"marks\.end"),
        (ViewMarks(new_tokens=("<fake>",)), r"new_tokens"),
    ],
)
def test_a_mark_that_could_merge_with_the_text_is_refused(marks: ViewMarks, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        check_marks(marks, tiny_tokenizer())


def test_anyres_has_none() -> None:
    with pytest.raises(ConfigError, match="joins its views"):
        Preprocess(mode="anyres", image_px=32, marks=ViewMarks())
