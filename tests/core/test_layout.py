"""Layout by hand for small sequences, and packing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.layout import Packed, assign_rows, encode, pack
from diglot.core.segments import Branch, Encoded, Image, Patches, Separator, Tokens

MANY = settings(max_examples=50, derandomize=True, deadline=None)
TERMS = ("text", "entity")
BLANK = {"token": 0, "visual": -1, "position": 0, "document": -1, "branch": 0}


def encode_segments(*segments, visual_count: int = 0) -> Encoded:
    return encode(segments, visual_counts=[visual_count], terms=TERMS)


def triples(encoded: Encoded) -> list[tuple[int, int, str]]:
    columns = encoded.query_S, encoded.target_S, encoded.term_S
    return [(q, t, TERMS[i]) for q, t, i in zip(*(c.tolist() for c in columns), strict=True)]


def test_no_entity_is_plain_next_word_prediction() -> None:
    got = encode_segments(Tokens((1,)), Image(), Tokens((7, 8, 9), "text"), visual_count=2)
    assert got.token_T.tolist() == [1, 0, 0, 7, 8, 9]
    assert got.visual_T.tolist() == [-1, 0, 1, -1, -1, -1]
    assert got.position_T.tolist() == got.fork_T.tolist() == [0, 1, 2, 3, 4, 5]
    assert got.branch_T.tolist() == got.document_T.tolist() == [0] * 6
    assert triples(got) == [(2, 7, "text"), (3, 8, "text"), (4, 9, "text")]
    assert got.visual_count == 2
    assert len(got) == 6


def test_one_entity_in_the_middle() -> None:
    got = encode_segments(
        Tokens((1,)),
        Tokens((5,), "text"),
        Patches((3, 1)),
        Branch((20, 21, 22), "entity"),
        Tokens((6,), "text"),
        visual_count=4,
    )
    #                  bos  5  patches  6 | 20 21
    assert got.token_T.tolist() == [1, 5, 0, 0, 6, 20, 21]
    assert got.visual_T.tolist() == [-1, -1, 3, 1, -1, -1, -1]
    assert got.position_T.tolist() == [0, 1, 2, 3, 4, 4, 5]  # the branch counts on from its fork
    assert got.branch_T.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert got.fork_T.tolist() == [0, 1, 2, 3, 4, 3, 3]
    assert triples(got) == [
        *((0, 5, "text"), (3, 6, "text")),
        *((3, 20, "entity"), (5, 21, "entity"), (6, 22, "entity")),
    ]


def test_entity_of_one_token_takes_no_position() -> None:
    got = encode_segments(Tokens((1,)), Patches((0,)), Branch((9,), "entity"), visual_count=1)
    assert got.token_T.tolist() == [1, 0]
    assert triples(got) == [(1, 9, "entity")]


def test_entity_first_and_last_and_adjacent() -> None:
    got = encode_segments(
        Patches((0,)),
        Branch((9, 8), "entity"),
        Patches((1, 2)),
        Branch((7, 6), "entity"),
        visual_count=3,
    )
    assert got.token_T.tolist() == [0, 0, 0, 9, 7]
    assert got.position_T.tolist() == [0, 1, 2, 1, 3]
    assert got.branch_T.tolist() == [0, 0, 0, 1, 2]
    assert got.fork_T.tolist() == [0, 1, 2, 0, 2]
    assert triples(got) == [
        *((0, 9, "entity"), (3, 8, "entity")),
        *((2, 7, "entity"), (4, 6, "entity")),
    ]


def test_repeated_entity_has_a_branch_each_time() -> None:
    got = encode_segments(
        Tokens((1,)),
        Patches((0,)),
        Branch((9, 8), "entity"),
        Tokens((5,), "text"),
        Patches((0,)),
        Branch((9, 8), "entity"),
        visual_count=1,
    )
    assert got.branch_T.tolist() == [0, 0, 0, 0, 1, 2]
    assert got.fork_T.tolist() == [0, 1, 2, 3, 1, 3]
    assert [q for q, *_ in triples(got)] == [1, 1, 4, 3, 5]


def test_two_branches_may_fork_at_one_place() -> None:
    got = encode_segments(Tokens((1,)), Branch((4, 5), "entity"), Branch((6, 7), "entity"))
    assert got.fork_T.tolist() == [0, 0, 0]
    assert got.branch_T.tolist() == [0, 1, 2]
    assert [q for q, *_ in triples(got)] == [0, 1, 0, 2]


def test_text_that_is_not_learned_has_no_triples() -> None:
    got = encode_segments(Tokens((1, 2, 3)), Patches((0,)), Tokens((4,)), visual_count=1)
    assert triples(got) == []
    assert got.term_S.dtype == got.query_S.dtype == torch.int64


def test_nothing_at_all() -> None:
    got = encode_segments(visual_count=3)
    assert len(got) == 0
    assert got.visual_count == 3


@pytest.mark.parametrize("segment", [Tokens((4,), "text"), Branch((4,), "entity")])
def test_nothing_to_predict_the_first_token_from(segment) -> None:
    with pytest.raises(ValueError, match="nothing before it"):
        encode_segments(segment)


@pytest.mark.parametrize("index", [(2,), (0, 5), (-1,)])
def test_patch_the_image_does_not_have(index: tuple[int, ...]) -> None:
    """It would be another document's visual token once packed."""
    with pytest.raises(ValueError, match="visual token"):
        encode_segments(Tokens((1,)), Patches(index), visual_count=2)


def test_unknown_term() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        encode_segments(Tokens((1,)), Tokens((2,), "other"))


@st.composite
def documents(draw: st.DrawFn) -> Encoded:
    visual_count = draw(st.integers(1, 4))
    ids = st.lists(st.integers(1, 50), min_size=1, max_size=4).map(tuple)
    some = st.lists(st.integers(0, visual_count - 1), min_size=1, max_size=3).map(tuple)
    segment = st.one_of(
        st.builds(Tokens, ids, st.sampled_from([None, "text"])),
        st.builds(Patches, some),
        st.builds(Branch, ids, st.just("entity")),
        st.just(Image()),
    )
    body = draw(st.lists(segment, max_size=6))
    return encode_segments(Tokens((1,)), *body, visual_count=visual_count)


@MANY
@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 50))
def test_assign_rows_covers_each_document_once(lengths: list[int], row_tokens: int) -> None:
    rows = assign_rows(lengths, row_tokens)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    for row in rows:
        assert sum(lengths[i] for i in row) <= max(row_tokens, *(lengths[i] for i in row))
    assert rows == assign_rows(lengths, row_tokens)


@MANY
@given(st.lists(st.integers(1, 40), min_size=2, max_size=20), st.integers(40, 80))
def test_no_two_rows_would_fit_in_one(lengths: list[int], row_tokens: int) -> None:
    loads = sorted(sum(lengths[i] for i in row) for row in assign_rows(lengths, row_tokens))
    assert len(loads) < 2 or loads[0] + loads[1] > row_tokens


def place_of(packed: Packed, documents: list[Encoded], row_tokens: int) -> list[tuple[int, int]]:
    """(row, first position, number) of each document, found from the assignment alone."""
    places = {}
    for r, row in enumerate(assign_rows([len(d) for d in documents], row_tokens)):
        at = 0
        for number, i in enumerate(row):
            places[i] = (r, at, number)
            at += len(documents[i])
    return [places[i] for i in range(len(documents))]


@MANY
@given(st.lists(documents(), min_size=1, max_size=6), st.integers(1, 60))
def test_every_document_lies_in_the_pack_unchanged(docs: list[Encoded], row_tokens: int) -> None:
    packed = pack(docs, row_tokens=row_tokens)
    rows, width = packed.token_BT.shape
    covered = torch.zeros(rows, width, dtype=torch.bool)
    first_visual = 0
    for document, (row, at, number) in zip(docs, place_of(packed, docs, row_tokens), strict=True):
        here = (row, slice(at, at + len(document)))
        assert not covered[here].any()
        covered[here] = True
        assert packed.token_BT[here].equal(document.token_T)
        assert packed.position_BT[here].equal(document.position_T)
        assert (packed.fork_BT[here] - at).equal(document.fork_T)
        assert (packed.document_BT[here] == number).all()
        visual = packed.visual_BT[here]
        assert (visual >= 0).equal(document.visual_T >= 0)
        assert (visual - first_visual)[visual >= 0].equal(document.visual_T[document.visual_T >= 0])
        first_visual += document.visual_count
    for name, value in BLANK.items():
        assert (getattr(packed, f"{name}_BT")[~covered] == value).all()
    assert packed.fork_BT[~covered].equal(torch.arange(width).expand(rows, -1)[~covered])


@MANY
@given(st.lists(documents(), min_size=1, max_size=6), st.integers(1, 60))
def test_supervision_points_into_the_pack(docs: list[Encoded], row_tokens: int) -> None:
    packed = pack(docs, row_tokens=row_tokens)
    flat = packed.token_BT.flatten()
    places = place_of(packed, docs, row_tokens)
    for i, document in enumerate(docs):
        mine = packed.document_S == i
        assert flat[packed.query_S[mine]].equal(document.token_T[document.query_S])
        row, at, _ = places[i]
        want = document.query_S + row * packed.token_BT.shape[1] + at
        assert packed.query_S[mine].equal(want)
        assert packed.target_S[mine].equal(document.target_S)
        assert packed.term_S[mine].equal(document.term_S)


@MANY
@given(st.lists(documents(), min_size=1, max_size=6), st.integers(1, 60))
def test_branch_numbers_are_unique_in_a_row(docs: list[Encoded], row_tokens: int) -> None:
    packed = pack(docs, row_tokens=row_tokens)
    for branch_T, document_T in zip(packed.branch_BT, packed.document_BT, strict=True):
        for number in branch_T[branch_T > 0].unique():
            assert len(document_T[branch_T == number].unique()) == 1


def test_documents_may_share_an_image() -> None:
    one = encode_segments(Tokens((1,)), Patches((0, 1)), visual_count=2)
    other = encode_segments(Tokens((1,)), Patches((2,)), visual_count=3)
    packed = pack([one, other, one], row_tokens=3, image_of=[0, 1, 0])
    assert packed.visual_BT.tolist() == [[-1, 0, 1], [-1, 0, 1], [-1, 4, -1]]


def test_sharing_documents_must_agree_on_their_image() -> None:
    docs = [encode_segments(Tokens((1,)), Image(), visual_count=n) for n in (2, 3)]
    with pytest.raises(ValueError, match="image 0"):
        pack(docs, row_tokens=9, image_of=[0, 0])


def test_documents_without_a_sequence_still_pack() -> None:
    packed = pack([encode_segments(visual_count=2), encode_segments(visual_count=3)], row_tokens=8)
    assert packed.token_BT.shape == (1, 0)
    assert len(packed.query_S) == 0
    mixed = pack(
        [encode_segments(visual_count=2), encode_segments(Tokens((1,)), Image(), visual_count=1)],
        row_tokens=8,
    )
    assert mixed.visual_BT.tolist() == [[-1, 2]]


def test_packing_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no document"):
        pack([], row_tokens=8)


def test_several_images_and_separators() -> None:
    """Images are numbered one after the other; separators take positions and are not learned."""
    got = encode(
        (
            Tokens((1,)),
            Patches((1,), image=1),
            Separator(vector=2),
            Image(0),
            Separator(ids=(7, 8)),
            Image(1),
            Tokens((9,), "text"),
        ),
        visual_counts=[2, 3],
        terms=TERMS,
    )
    assert got.token_T.tolist() == [1, 0, 0, 0, 0, 7, 8, 0, 0, 0, 9]
    assert got.visual_T.tolist() == [-1, 3, -1, 0, 1, -1, -1, 2, 3, 4, -1]
    assert got.separator_T.tolist() == [-1, -1, 2, *[-1] * 8]
    assert got.position_T.tolist() == list(range(11))
    assert (got.query_S.tolist(), got.target_S.tolist()) == ([9], [9])
    assert got.visual_count == 5
    packed = pack([got, encode_segments(Tokens((1,)), Image(), visual_count=1)], row_tokens=16)
    assert packed.visual_BT.max() == 5
    assert packed.separator_BT.flatten().tolist() == [-1, -1, 2, *[-1] * 10]


def test_images_that_are_not_there() -> None:
    for segment in (Image(1), Patches((0,), image=1), Image(-1)):
        with pytest.raises(ValueError, match="no image"):
            encode_segments(Tokens((1,)), segment, visual_count=2)
    assert len(encode((Tokens((1, 2)),), visual_counts=[], terms=TERMS)) == 2
    for wrong in ({}, {"vector": 0, "ids": (1,)}):
        with pytest.raises(ValueError, match="a vector or tokens"):
            Separator(**wrong)
