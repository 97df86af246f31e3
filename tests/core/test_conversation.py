"""Turns and their images: what is refused, and where the images stand."""

import pytest

from diglot.core.conversation import Piece, Turn, split_turns
from diglot.core.errors import DataError
from diglot.core.types import Region, Rle, Sample

USER = Turn(role="user", text="<image>\nWhat is it?")
ANSWER = Turn(role="assistant", text="A red dog.", learn=True)
SYSTEM = Turn(role="system", text="Be brief.")


def talk(*turns: Turn, images: int = 1, **fields) -> Sample:
    return Sample(
        id="c1", images=(b"",) * images, sizes_hw=((10, 20),) * images, turns=turns, **fields
    )


def test_good_conversations() -> None:
    assert talk(USER, ANSWER).is_conversation
    assert talk(SYSTEM, Turn(role="user", text="Hi"), ANSWER, images=0).images == ()
    assert len(talk(USER, ANSWER, Turn(role="user", text="<image><image>"), images=3).images) == 3


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ((ANSWER,), r"turns\[0\]\.role: turns are out of order; expected user"),
        ((USER, SYSTEM, ANSWER), r"turns\[1\]\.role: turns are out of order; expected assistant"),
        ((SYSTEM, USER, ANSWER, ANSWER), r"turns\[3\]\.role: turns are out of order"),
        ((USER,), "turns: nothing to learn"),
        ((USER, Turn(role="assistant", text="no")), "turns: nothing to learn"),
        ((USER, Turn(role="assistant", text=" ", learn=True)), "turns: nothing to learn"),
        ((Turn(role="user", text="no image"), ANSWER), r"expected 1 times <image>.*got 0"),
        ((Turn(role="user", text="<image><image>"), ANSWER), r"expected 1 times <image>.*got 2"),
        (({"role": "user"},), r"turns\[0\]: wrong type; expected a Turn; got dict"),
    ],
)
def test_conversations_that_cannot_be(turns, message: str) -> None:
    with pytest.raises(DataError, match=r"^sample 'c1', " + "(?s:.*)" + message):
        talk(*turns)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"role": "bot", "text": "x"}, "role: unknown role"),
        ({"role": "user", "text": "x", "learn": True}, "learn: only an assistant"),
        ({"role": "assistant", "text": "<image>", "learn": True}, "an image cannot be learned"),
        ({"role": "user", "text": None}, "text: wrong type"),
    ],
)
def test_turns_that_cannot_be(fields, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Turn(**fields)


def test_a_region_of_an_answer() -> None:
    region = Region(phrase="red dog", box=(1.0, 1.0, 5.0, 5.0), span=(2, 9), turn=1)
    sample = talk(USER, ANSWER, regions=(region,))
    assert sample.text_of(region) == "A red dog."
    for wrong, message in [
        ({"turn": 0}, r"regions\[0\]\.span: span does not match its turn.*turns\[0\]\.text\[2:9\]"),
        ({"turn": 2}, r"regions\[0\]\.turn: no such turn"),
        ({"turn": None}, r"regions\[0\]\.turn: a span in a conversation names its turn"),
        ({"image": 1}, r"regions\[0\]\.image: no such image"),
        ({"image": -1}, r"regions\[0\]\.image: no such image"),
    ]:
        with pytest.raises(DataError, match=message):
            talk(USER, ANSWER, regions=(Region(**vars(region) | wrong),))


def test_a_caption_and_turns_exclude_each_other() -> None:
    with pytest.raises(DataError, match="'c1', caption: a conversation has no caption"):
        talk(USER, ANSWER, caption="x")
    with pytest.raises(DataError, match="'s', images: a record without turns is one captioned"):
        Sample(id="s", images=(), sizes_hw=())
    with pytest.raises(DataError, match="'c1', images: not a record of one image"):
        _ = talk(Turn(role="user", text="<image> <image>"), ANSWER, images=2).image


def test_mistaken_types_name_their_field() -> None:
    good = {"id": "s", "image": b"", "size_hw": (4, 4), "caption": "x"}
    for wrong, message in [
        (
            {"image": "dog.jpg"},
            r"'s', images\[0\]: wrong type; expected encoded bytes or",
        ),
        ({"regions": ({"box": 1},)}, r"'s', regions\[0\]: wrong type; expected a Region"),
        ({"id": 7}, "sample 7, id: wrong type; expected a string; got int 7"),
        ({"caption": None}, "'s', caption: wrong type"),
        ({"size_hw": [4, 4]}, r"'s', sizes_hw\[0\]: wrong type; expected two integers"),
    ]:
        with pytest.raises(DataError, match=message):
            Sample.captioned(**good | wrong)
    with pytest.raises(DataError, match=r"counts: wrong type.*as a string; got bytes"):
        Rle(size_hw=(4, 4), counts=b"04")


def test_pieces_in_reading_order() -> None:
    turns = (
        Turn(role="user", text="<image>\nand <image>"),
        Turn(role="assistant", text="yes", learn=True),
        Turn(role="user", text="<image>"),
    )
    assert list(split_turns(turns)) == [
        Piece(0, 0, "", 0),
        Piece(0, 7, "\nand "),
        Piece(0, 12, "", 1),
        Piece(1, 0, "yes"),
        Piece(2, 0, "", 2),
    ]
