"""The three ways to compute the one attention rule give the same numbers."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from diglot.core.layout import Packed, encode, pack
from diglot.measure.attention_rows import record_rows
from diglot.models import attention
from diglot.models.attention import pieces_of
from diglot.models.decode import choose_attention
from diglot.models.language import Language
from diglot.models.trainable import checkpoint_layers
from diglot.models.vlm import VLM
from diglot.objectives import code_switch
from tests.tiny import tiny_sample, tiny_vlm

KINDS = ("llama", "qwen2", "qwen3")


def packed_samples(vlm: VLM, row_tokens: int) -> tuple[Packed, torch.Tensor]:
    """Six samples of 0 to 5 entities, packed, with random visual tokens."""
    objective = code_switch.build(code_switch.Config())
    documents = []
    for seed in range(6):
        sample = tiny_sample(seed, objects=max(seed, 1))
        grid = vlm.token_grid(sample.size_hw)
        prepared = objective.prepare(sample, (grid,), vlm.language.tokenizer, torch.Generator())
        sequence = prepared.sequence or ()
        documents.append(encode(sequence, visual_counts=[len(grid)], terms=objective.terms))
    visual = torch.randn(
        len(grid) * 6, vlm.language.width, generator=torch.Generator().manual_seed(1)
    )
    return pack(documents, row_tokens=row_tokens), visual


def outputs(vlm: VLM, packed: Packed, visual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities, and the gradient of their sum with respect to the visual tokens."""
    learned = visual.clone().requires_grad_()
    log_probs = vlm.log_probs(packed, learned)
    return log_probs.detach(), torch.autograd.grad(log_probs.sum(), learned)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row_tokens", [1, 200, 2000])
def test_split_equals_the_dense_mask(kind, row_tokens):
    vlm = tiny_vlm(kind)
    packed, visual = packed_samples(vlm, row_tokens)
    split = outputs(vlm, packed, visual)
    dense = outputs(VLM(*_parts(vlm), "sdpa"), packed, visual)
    torch.testing.assert_close(split[0], dense[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(split[1], dense[1], rtol=1e-4, atol=1e-5)


def _parts(vlm: VLM):
    return vlm.encoder, vlm.projector, vlm.language, vlm.preprocess


def test_pieces_cover_every_position_but_padding():
    vlm = tiny_vlm()
    packed, _ = packed_samples(vlm, 200)
    for row, pieces in enumerate(pieces_of(packed, torch.float32)):
        covered = [t for piece in pieces for t in range(piece.start, piece.stop)]
        assert covered == torch.flatten(torch.nonzero(packed.document_BT[row] >= 0)).tolist()
        for piece in pieces:
            assert (packed.branch_BT[row, piece.start : piece.fork] == 0).all()
            assert (packed.branch_BT[row, piece.fork : piece.stop] > 0).all()


def test_the_model_still_runs_as_transformers_runs_it():
    vlm = tiny_vlm("qwen2")
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    padding = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    ours = vlm.language.model(input_ids=ids, attention_mask=padding).logits
    vlm.language.model.set_attn_implementation("sdpa")
    stock = vlm.language.model(input_ids=ids, attention_mask=padding).logits
    torch.testing.assert_close(ours[padding > 0], stock[padding > 0])


@pytest.fixture
def cudnn_allowed(monkeypatch):
    """Whether cuDNN was allowed, of each call of torch's SDPA."""
    allowed, plain = [], torch.nn.functional.scaled_dot_product_attention

    def watched(*args, **kwargs):
        allowed.append(torch.backends.cuda.cudnn_sdp_enabled())
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    monkeypatch.setattr(attention, "scaled_dot_product_attention", watched)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    yield allowed
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


@pytest.mark.parametrize("form", ["split", "sdpa"])
@pytest.mark.parametrize("again", [False, True], ids=["kept", "computed again"])
def test_no_form_takes_kernels_that_are_planned_for_a_length(form, again, cudnn_allowed):
    """Nor does a layer that is computed again in the backward pass, nor a plain forward."""
    vlm = VLM(*_parts(tiny_vlm()), form)
    if again:
        checkpoint_layers(vlm)
    packed, visual = packed_samples(vlm, 200)
    cudnn_allowed.clear()  # before a form was chosen, the head was asked on a few tokens
    vlm.log_probs(packed, visual.requires_grad_()).sum().backward()
    vlm.language.decode(torch.zeros(1, 3, 32))
    assert len(cudnn_allowed) > (4 if again else 2)
    assert not any(cudnn_allowed)


def test_attention_that_is_recorded_takes_none_either(cudnn_allowed):
    vlm = tiny_vlm()
    cudnn_allowed.clear()
    with record_rows(vlm.language):
        vlm.language.decode(torch.zeros(1, 3, 32))
    assert len(cudnn_allowed) == 2
    assert not any(cudnn_allowed)


def test_flex_gives_way_where_heads_are_too_narrow_for_its_kernels(caplog):
    assert choose_attention(tiny_vlm().language, "flex") == "split"
    assert "flex needs heads of 16 channels and more, these have 8; split is used" in caplog.text


def wide_vlm() -> VLM:
    """Heads of 16 channels, the least that FlexAttention takes."""
    vlm = tiny_vlm()
    config = LlamaConfig(
        **{**vlm.language.model.config.to_dict(), "hidden_size": 64, "head_dim": 16}
    )
    language = Language(LlamaForCausalLM(config), vlm.language.tokenizer)
    return VLM(vlm.encoder, vlm.projector, language, vlm.preprocess).eval()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_flex_equals_split_on_cuda():
    vlm = wide_vlm().cuda()
    packed, visual = packed_samples(vlm, 512)
    moved = Packed(
        **{k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in vars(packed).items()}
    )
    split = outputs(vlm, moved, visual.cuda())
    flex = outputs(VLM(*_parts(vlm), "flex"), moved, visual.cuda())
    torch.testing.assert_close(split[0], flex[0], rtol=1e-3, atol=1e-3)
