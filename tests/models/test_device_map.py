"""A language model's layers over several devices; on this machine the same one, and none."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.errors import ConfigError
from diglot.models.attention import pieces_of
from diglot.models.decode import probe_documents
from diglot.models.device_map import (
    count_bytes,
    find_layers,
    move_to_devices,
    share_layers,
    spread_layers,
)
from tests.tiny import tiny_vlm

CPU, META = torch.device("cpu"), torch.device("meta")


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=40),
    st.lists(st.integers(0, 9000), min_size=1, max_size=8),
)
def test_layers_are_shared_in_order_and_in_proportion(sizes: list[int], room: list[int]) -> None:
    if sum(sizes) > sum(room):
        with pytest.raises(ConfigError, match="does not fit on the GPUs"):
            share_layers(sizes, room)
        return
    numbers = share_layers(sizes, room)
    assert numbers == sorted(numbers)
    assert len(numbers) == len(sizes)
    used = sum(sizes) / sum(room)
    for device, free in enumerate(room):
        held = sum(s for s, n in zip(sizes, numbers, strict=True) if n == device)
        assert abs(held - used * free) <= max(sizes)  # half a layer at either end


def test_what_is_no_layer_stays_on_the_first() -> None:
    vlm = tiny_vlm()
    layers = find_layers(vlm)
    assert len(layers) == vlm.language.model.config.num_hidden_layers
    room = (
        count_bytes(vlm) - count_bytes(*layers) + count_bytes(layers[0]),
        count_bytes(*layers[1:]),
    )
    inside = {id(p) for layer in layers for p in layer.parameters()}
    spread_layers(vlm, [CPU, META], room)
    assert {p.device for p in layers[0].parameters()} == {CPU}
    assert {p.device for layer in layers[1:] for p in layer.parameters()} == {META}
    outside = [p for p in vlm.parameters() if id(p) not in inside and p.device == CPU]
    names = {name for name, p in vlm.named_parameters() if p.device == META}
    assert outside
    assert all(".layers." in name for name in names)
    with pytest.raises(NotImplementedError, match="meta"):  # its output is brought back
        vlm.language.decode(torch.zeros(1, 3, vlm.language.width))


def test_hooks_change_no_number() -> None:
    vlm, packed = tiny_vlm().eval(), probe_documents(20)
    plain = vlm.log_probs(packed, torch.zeros(0, vlm.language.width))
    spread_layers(vlm, [CPU, CPU], [10**9, 10**9])
    assert all(hasattr(layer, "_hf_hook") for layer in find_layers(vlm))
    assert torch.equal(vlm.log_probs(packed, torch.zeros(0, vlm.language.width)), plain)
    assert move_to_devices(vlm) is vlm


def test_a_documents_masks_go_with_it() -> None:
    pieces = [piece for row in pieces_of(probe_documents(20), torch.float32) for piece in row]
    assert any(piece.branch_mask is not None for piece in pieces)
    for piece in pieces:
        assert piece.to("cpu") is piece
        moved = piece.to("meta")
        assert moved.position_L.device == META
        assert (moved.branch_mask is None) == (piece.branch_mask is None)
        assert moved.branch_mask is None or moved.branch_mask.device == META
