"""Captions cut into pieces join up again and wear the right regions."""

from hypothesis import given
from hypothesis import strategies as st

from diglot.report.captions import cut_caption


@st.composite
def captions_with_spans(draw: st.DrawFn) -> tuple[str, list[tuple[int, int] | None]]:
    caption = draw(st.text(min_size=1, max_size=30))
    starts = st.integers(0, len(caption) - 1)
    span = starts.flatmap(lambda s: st.tuples(st.just(s), st.integers(s + 1, len(caption))))
    return caption, draw(st.lists(st.none() | span, max_size=5))


@given(captions_with_spans())
def test_pieces_join_up_and_each_character_knows_its_regions(
    drawn: tuple[str, list[tuple[int, int] | None]],
) -> None:
    caption, spans = drawn
    pieces = cut_caption(caption, spans)
    assert "".join(piece.text for piece in pieces) == caption
    at = 0
    for piece in pieces:
        for offset in range(len(piece.text)):
            slow = {i for i, s in enumerate(spans) if s and s[0] <= at + offset < s[1]}
            assert set(piece.regions) == slow
        at += len(piece.text)
        assert set(piece.ends) == {i for i, s in enumerate(spans) if s and s[1] == at}


def test_the_inner_span_comes_first() -> None:
    pieces = cut_caption("a man on a horse", [(0, 16), (9, 16)])
    assert [(p.text, p.regions) for p in pieces] == [("a man on ", (0,)), ("a horse", (1, 0))]


def test_empty_caption_has_no_pieces() -> None:
    assert cut_caption("", []) == ()
