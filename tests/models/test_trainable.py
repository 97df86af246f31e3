"""What learns, what is counted, and that the frozen does not move."""

import itertools

import pytest
import torch
from torch import nn

from diglot.core.errors import ConfigError
from diglot.core.layout import encode, pack
from diglot.core.segments import Image, Tokens
from diglot.models.trainable import PartCount, Trainable, set_trainable, train_mode
from diglot.models.vlm import VLM
from tests.tiny import tiny_vlm

PARTS = ("encoder", "projector", "language")


def learn_once(vlm: VLM) -> None:
    """One step of training on one picture and a few words."""
    document = encode(
        (Tokens((0,)), Image(), Tokens((5, 6), "text")), visual_counts=[16], terms=("text",)
    )
    pixels = [torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))]
    loss = -vlm.log_probs(pack([document], row_tokens=1), vlm.project(vlm.features(pixels))).sum()
    optimizer = torch.optim.AdamW([p for p in vlm.parameters() if p.requires_grad], lr=0.1)
    loss.backward()
    optimizer.step()


def copy(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(module: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(value.equal(before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("learns", [c for n in (1, 2, 3) for c in itertools.combinations(PARTS, n)])
def test_exactly_the_named_parts_move(learns: tuple[str, ...]) -> None:
    vlm = tiny_vlm()
    before = {part: copy(getattr(vlm, part)) for part in PARTS}
    counts = set_trainable(vlm, Trainable(**{part: part in learns for part in PARTS}))
    learn_once(vlm)
    for part in PARTS:
        module = getattr(vlm, part)
        assert same(module, before[part]) == (part not in learns), part
        assert module.training == (part in learns)
        if part not in learns:
            assert all(p.grad is None for p in module.parameters())
    for count in counts:
        total = sum(p.numel() for p in getattr(vlm, count.part).parameters())
        assert count == PartCount(count.part, total if count.part in learns else 0, total)


def test_pretraining_is_the_projector_alone() -> None:
    counts = set_trainable(tiny_vlm(), Trainable())
    assert [(c.part, c.learn > 0) for c in counts] == [
        ("encoder", False),
        ("projector", True),
        ("language", False),
    ]


def test_tied_words_are_counted_once() -> None:
    vlm = tiny_vlm("llama")
    (count,) = [c for c in set_trainable(vlm, Trainable(language=True)) if c.part == "language"]
    assert vlm.language.head.weight is vlm.language.input_embeddings.weight
    assert count.total == sum({id(p): p.numel() for p in vlm.language.parameters()}.values())


def test_nothing_to_learn_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="trainable: no parameter would learn"):
        set_trainable(tiny_vlm(), Trainable(projector=False))


class NormedEncoder(nn.Module):
    """An encoder whose statistics would move in train mode, with noise on top."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.norm = inner, nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.width, self.patch_px = inner.width, inner.patch_px

    def forward(self, pixels_V3HW: torch.Tensor) -> torch.Tensor:
        return self.inner(self.drop(self.norm(pixels_V3HW)))


def test_frozen_batch_norm_keeps_its_statistics() -> None:
    vlm = tiny_vlm()
    vlm.encoder = NormedEncoder(vlm.encoder)
    set_trainable(vlm, Trainable())
    before = copy(vlm.encoder)
    learn_once(vlm)
    assert same(vlm.encoder, before)
    vlm.train()  # whoever puts all in train mode calls train_mode after
    train_mode(vlm)
    learn_once(vlm)
    assert same(vlm.encoder, before)
    assert vlm.projector.training


def test_learning_batch_norm_moves_its_statistics() -> None:
    vlm = tiny_vlm()
    vlm.encoder = NormedEncoder(vlm.encoder)
    set_trainable(vlm, Trainable(encoder=True))
    before = vlm.encoder.norm.running_mean.clone()
    learn_once(vlm)
    assert not vlm.encoder.norm.running_mean.equal(before)
