"""The attention rule against a triple loop from its statement."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.attention import additive_mask, mask_rule, visible_keys
from diglot.core.layout import Packed, encode, pack
from diglot.core.segments import Branch, Encoded, Patches, Tokens

MANY = settings(max_examples=40, derandomize=True, deadline=None)


@st.composite
def packs(draw: st.DrawFn) -> Packed:
    documents: list[Encoded] = []
    for _ in range(draw(st.integers(1, 4))):
        body = [Tokens((1,))]
        for _ in range(draw(st.integers(0, 3))):
            body.append(Patches((0,) * draw(st.integers(1, 2))))
            body.append(Branch((2,) * draw(st.integers(1, 3)), "entity"))
            body.append(Tokens((3,) * draw(st.integers(0, 2)), "text"))
        documents.append(encode(tuple(body), visual_counts=[1], terms=("text", "entity")))
    return pack(documents, row_tokens=draw(st.integers(1, 30)))


def sees(packed: Packed, row: int, query: int, key: int) -> bool:
    """Key k is seen by query q iff same document, and (k on the trunk and k <= fork(q), or k on
    q's branch and k <= q)."""
    document, branch, fork = (
        column[row].tolist() for column in (packed.document_BT, packed.branch_BT, packed.fork_BT)
    )
    if document[query] != document[key]:
        return False
    if branch[key] == 0:
        return key <= fork[query]
    return branch[key] == branch[query] and key <= query


@MANY
@given(packs())
def test_visible_is_the_stated_rule(packed: Packed) -> None:
    rows, width = packed.token_BT.shape
    want = [
        [[sees(packed, r, q, k) for k in range(width)] for q in range(width)] for r in range(rows)
    ]
    assert visible_keys(packed).tolist() == want


@MANY
@given(packs())
def test_the_three_forms_agree(packed: Packed) -> None:
    visible_BTT = visible_keys(packed)
    mask = additive_mask(packed)
    assert mask.shape == (len(visible_BTT), 1, *visible_BTT.shape[1:])
    assert mask.dtype == torch.float32
    assert (mask[:, 0] == 0).equal(visible_BTT)
    assert (mask[:, 0][~visible_BTT] == torch.finfo(torch.float32).min).all()
    rows, width = packed.token_BT.shape
    b, q, k = torch.meshgrid(*(torch.arange(n) for n in (rows, width, width)), indexing="ij")
    assert mask_rule(packed)(b, 0, q, k).equal(visible_BTT)


@MANY
@given(packs())
def test_the_trunk_never_sees_a_branch_nor_a_branch_another(packed: Packed) -> None:
    visible_BTT, branch = visible_keys(packed), packed.branch_BT
    key_on_branch = (branch > 0)[:, None, :].expand_as(visible_BTT)
    own = branch[:, :, None] == branch[:, None, :]
    assert not visible_BTT[key_on_branch & ~own].any()


@MANY
@given(packs())
def test_padding_and_documents_keep_apart(packed: Packed) -> None:
    visible_BTT, document = visible_keys(packed), packed.document_BT
    assert not visible_BTT[document[:, :, None] != document[:, None, :]].any()
    assert visible_BTT.any(dim=-1).all()  # an empty row would be a softmax over nothing: NaN


def test_a_document_by_hand() -> None:
    body = (Tokens((1,)), Patches((0,)), Branch((5, 6, 7), "entity"), Tokens((2,), "text"))
    packed = pack([encode(body, visual_counts=[1], terms=("text", "entity"))], row_tokens=6)
    assert visible_keys(packed)[0].int().tolist() == [
        [1, 0, 0, 0, 0],  # bos
        [1, 1, 0, 0, 0],  # the object
        [1, 1, 1, 0, 0],  # the word after it
        [1, 1, 0, 1, 0],  # branch: not the word after
        [1, 1, 0, 1, 1],
    ]


def test_half_precision_mask_stays_finite() -> None:
    packed = pack([encode((Tokens((1, 2)),), visual_counts=[0], terms=("text",))], row_tokens=3)
    assert additive_mask(packed, torch.bfloat16).isfinite().all()
