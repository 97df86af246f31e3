"""SFT of a stock Llava is what stock transformers compute from the same labels; and as served."""

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from diglot.core.conversation import Turn
from diglot.core.types import Sample
from diglot.data.collate import EncodedSample, collate_batch, encode_sample
from diglot.models.adapters.names import KNOWN
from diglot.models.adapters.stock import stock_state
from diglot.models.export.chat_template import image_template
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from diglot.objectives import instruct
from tests.train.stock_llava import save_stock_llava

TEMPLATE = (
    "{% for m in messages %}{{ '<|bos|>' + m.role + '\n' + m.content + '<|eos|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|bos|>assistant\n' }}{% endif %}"
)
IMAGE = -1


def talk(name: str, *texts: str, images: int) -> Sample:
    rng = np.random.default_rng(len(name))
    pictures, sizes = [], ((40, 32), (32, 48))[:images]
    for height, width in sizes:
        stream = BytesIO()
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, format="PNG")
        pictures.append(stream.getvalue())
    turns = tuple(
        Turn(role=("user", "assistant")[i % 2], text=text, learn=bool(i % 2))
        for i, text in enumerate(texts)
    )
    return Sample(id=name, images=tuple(pictures), sizes_hw=sizes, turns=turns)


RECORDS = (
    talk("one", "<image>\nWhat is it?", "A dog.", "Where is it?", "On the left.", images=1),
    talk("text alone", "Say a word.", "Guitar.", images=0),
    talk("two images", "<image>\nand", "So.", "<image>\nHm?", "A frog, a red car.", images=2),
)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stock_llava(tmp_path_factory.mktemp("stock") / "llava")


@cache
def objective() -> instruct.InstructObjective:
    made = instruct.build(instruct.Config())
    made.template = TEMPLATE
    return made


@pytest.fixture
def vlm(stock: Path) -> VLM:
    return build_vlm(VLMConfig(stock=str(stock))).double().eval()


def encode(vlm: VLM, sample: Sample) -> EncodedSample:
    grids = vlm.processor.token_grids(sample)
    prepared = objective().prepare(sample, grids, vlm.language.tokenizer, torch.Generator())
    views = [view.double() for view in vlm.processor.sample_views(sample)]
    return encode_sample(
        sample.id,
        prepared.sequence,
        grids,
        views,
        views_are="pixels",
        terms=objective().terms,
        counts=dict(prepared.counts),
    )


def ours(vlm: VLM, samples: tuple[Sample, ...]) -> tuple[float, dict[str, torch.Tensor]]:
    """Mean loss over the learned tokens of these records in one row, and its gradient by name."""
    vlm.requires_grad_(True).zero_grad()
    batch = collate_batch([encode(vlm, sample) for sample in samples], row_tokens=4096)
    terms = objective().loss(vlm(batch, objective().reads), batch)
    loss = terms.sums["text"] / batch.counts["text"]
    loss.backward()
    names = KNOWN["llava"]
    gradients = {
        name: value.grad
        for name, value in stock_parameters(vlm, names).items()
        if value.grad is not None
    }
    return loss.item(), gradients


def stock_parameters(vlm: VLM, names: object) -> dict[str, torch.Tensor]:
    """The VLM's parameters under the stock model's names."""
    by_pointer = {p.data_ptr(): p for p in vlm.parameters()}
    state = stock_state(names, vlm.encoder.tower, vlm.projector, vlm.language)  # type: ignore[arg-type]
    return {n: by_pointer[v.data_ptr()] for n, v in state.items() if v.data_ptr() in by_pointer}


def labelled(vlm: VLM, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Stock input ids (1, T) with every visual token spelled, and labels with -100."""
    encoded = encode(vlm, sample).encoded
    image_id = vlm.language.tokenizer.convert_tokens_to_ids("<image>")
    ids_T = torch.where(
        torch.as_tensor(encoded.visual_T) >= 0, image_id, torch.as_tensor(encoded.token_T)
    )
    labels_T = torch.full_like(ids_T, -100)
    query_S, target_S = (torch.as_tensor(v) for v in (encoded.query_S, encoded.target_S))
    labels_T[query_S + 1] = target_S
    assert labels_T[labels_T != -100].equal(ids_T[labels_T != -100])
    return ids_T[None], labels_T[None]


def theirs(stock: Path, vlm: VLM, sample: Sample) -> tuple[float, dict[str, torch.Tensor]]:
    model = LlavaForConditionalGeneration.from_pretrained(stock).double().eval()
    ids_1T, labels_1T = labelled(vlm, sample)
    views = vlm.processor.sample_views(sample)
    pixels = torch.stack(list(views)).double() if views else None
    loss = model(input_ids=ids_1T, pixel_values=pixels, labels=labels_1T).loss
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("sample", RECORDS, ids=lambda sample: sample.id)
def test_loss_and_gradient_are_the_stock_model_s(stock: Path, vlm: VLM, sample: Sample) -> None:
    loss, gradients = ours(vlm, (sample,))
    expected, stock_gradients = theirs(stock, vlm, sample)
    assert loss == pytest.approx(expected, abs=1e-6)
    compared = 0
    for name, value in stock_gradients.items():
        assert torch.allclose(gradients[name], value, rtol=1e-6, atol=1e-6), name
        compared += bool(value.any())
    assert compared > (25 if sample.images else 15)


def test_packed_equals_unpacked(vlm: VLM) -> None:
    """One row of all records has the token-weighted mean of their losses and gradients."""
    packed, packed_gradients = ours(vlm, RECORDS)
    packed_gradients = {name: value.clone() for name, value in packed_gradients.items()}
    parts = [(encode(vlm, sample).counts["text"], *ours(vlm, (sample,))) for sample in RECORDS]
    total = sum(count for count, _, _ in parts)
    # Llama's norms compute in float32, whatever the model is in
    assert packed == pytest.approx(sum(n * loss for n, loss, _ in parts) / total, abs=1e-7)
    for name, value in packed_gradients.items():
        mean = sum(n * g.get(name, torch.zeros_like(value)) for n, _, g in parts) / total
        assert torch.allclose(value, mean, rtol=1e-6, atol=1e-6), name


@pytest.mark.parametrize("sample", RECORDS, ids=lambda sample: sample.id)
def test_what_is_learned_behind_is_what_the_stock_processor_serves(
    stock: Path, vlm: VLM, sample: Sample
) -> None:
    """Every answer's prompt, by the processor with the exported template, begins the document."""
    vlm.language.use_template(TEMPLATE)
    processor = AutoProcessor.from_pretrained(stock)
    processor.chat_template = image_template(TEMPLATE)
    ids_1T, labels_1T = labelled(vlm, sample)
    pictures = iter([Image.open(BytesIO(bytes(image))) for image in sample.images])  # type: ignore[arg-type]
    messages, first_learned = [], None
    for turn in sample.turns:
        if turn.role == "assistant":
            served = processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"][0]
            assert ids_1T[0, : len(served)].tolist() == list(served)
            if first_learned is None:
                first_learned = int((labels_1T[0] != -100).nonzero()[0])
                assert first_learned == len(served)
        parts = [
            {"type": "image", "image": next(pictures)} for _ in range(turn.text.count("<image>"))
        ]
        text = turn.text.removeprefix("<image>\n")
        messages.append({"role": turn.role, "content": [*parts, {"type": "text", "text": text}]})
